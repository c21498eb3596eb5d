//! Plain keys on two servers over one bucket: what one changes the other sees.

use std::time::Duration;

use http::StatusCode;

use crate::support::client::{Client, within};
use crate::support::pair::member;
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};
use crate::support::server::TestServer;
use crate::support::wait::until;

/// Two servers that do not compare their copies by themselves, and one tenant at both.
async fn plain(change: impl Fn(&mut chacha::config::Config)) -> (S3Server, [TestServer; 2], [Client; 2]) {
    let s3 = S3Server::memory();
    let one = member(&s3, &change).await;
    let providers = one.config().providers.clone();
    let two = member(&s3, |config| {
        change(config);
        config.providers = providers;
    })
    .await;
    let token = one.token("acme/app");
    let clients = [&one, &two].map(|server| server.anonymous().with_token(&token));
    (s3, [one, two], clients)
}

/// The objects of the log of notes.
fn notes(s3: &S3Server) -> Vec<String> {
    let objects = s3.objects().into_keys();
    objects.filter(|name| name.starts_with("v1/notes/")).collect()
}

#[tokio::test]
async fn an_overwrite_or_delete_is_seen_by_the_other_server_at_once() {
    let (_s3, _servers, [one, two]) = plain(|_| {}).await;
    for size in [10, 100_000, 1 << 20] {
        for round in 0..4_u8 {
            let (here, there) = if round % 2 == 0 {
                (&one, &two)
            } else {
                (&two, &one)
            };
            let body = vec![round; size];
            assert!(here.put("/k", body.clone()).await.status.is_success());
            // The second one comes from the disk.
            for _ in 0..2 {
                assert!(there.get("/k").await.body == body, "{size} {round}");
            }
        }
        assert_eq!(one.delete("/k").await.status, StatusCode::NO_CONTENT);
        assert_eq!(two.get("/k").await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_change_that_a_server_was_not_told_of_is_read_in_the_log() {
    let (s3, mut servers, [one, two]) = plain(|_| {}).await;
    one.put("/k", "old").await;
    assert_eq!(two.get("/k").await.text(), "old");
    two.get("/k").await;
    // Nobody is told: the other server is away for a moment.
    servers[1].stop().await;
    until("the former change is logged", || !notes(&s3).is_empty()).await;
    let before = notes(&s3);
    one.put("/k", "new").await;
    until("the change is logged", || notes(&s3) != before).await;
    // It has read the notes until a moment before.
    let read = std::time::SystemTime::now() - Duration::from_secs(60);
    let read = read.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    std::fs::write(servers[1].dir().join("cache/server/notes-read"), read.to_string()).unwrap();
    servers[1].restart().await;
    let two = servers[1].anonymous().with_token(&servers[0].token("acme/app"));
    within(async { while two.get("/k").await.text() != "new" {} }).await;
}

#[tokio::test]
async fn a_server_that_was_away_for_too_long_compares_what_it_has() {
    let (s3, mut servers, [one, two]) = plain(|_| {}).await;
    for key in ["/a", "/b"] {
        one.put(key, "old").await;
        two.get(key).await;
        assert_eq!(two.get(key).await.text(), "old");
    }
    servers[1].stop().await;
    one.put("/a", "new").await;
    one.delete("/b").await;
    // Longer than notes are kept; and no note comes later.
    servers[0].stop().await;
    for name in notes(&s3) {
        s3.remove(&name);
    }
    let kept = servers[1].dir().join("cache/server/notes-read");
    std::fs::write(&kept, "1000").unwrap();
    servers[1].restart().await;
    let two = servers[1].anonymous().with_token(&servers[0].token("acme/app"));
    assert_eq!(two.get("/a").await.text(), "new");
    assert_eq!(two.get("/b").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_waits_on_another_server_is_asked_there() {
    let back = |config: &mut chacha::config::Config| {
        config.s3.as_mut().unwrap().write = chacha::config::WriteMode::Back;
    };
    let (s3, _servers, [one, two]) = plain(back).await;
    one.put("/k", "old").await;
    within(async { while two.get("/k").await.text() != "old" {} }).await;
    // The next change of the key waits for an upload that is under way.
    let is_entry = |name: &String| name.as_bytes()[3].is_ascii_hexdigit();
    within(async {
        while !s3.objects().keys().any(is_entry) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gate = Gate::new();
    for digit in "0123456789abcdef".chars() {
        let entries = Which::from([Kind::Put, Kind::Create]).of(&format!("v1/{digit}"));
        s3.faults().always(entries, Action::Hold(gate.clone()));
    }
    let new = super::bytes(3_000_000, 7);
    assert!(one.put("/k", new.clone()).await.status.is_success());
    gate.reached(1).await;
    for client in [&one, &two, &two] {
        assert!(client.get("/k").await.body == new);
        let part = client.get_with("/k", &[("range", "bytes=2000000-2000009")]).await;
        assert_eq!(
            (part.status, &part.body[..]),
            (StatusCode::PARTIAL_CONTENT, &new[2_000_000..2_000_010])
        );
        assert_eq!(client.head("/k").await.header("content-length"), "3000000");
    }
    gate.open();
    s3.faults().clear();
    within(async {
        while s3.objects().values().all(|object| object.size < 3_000_000) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(two.get("/k").await.body == new);
}

//! Two servers over one bucket, without sticky sessions.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha::config::{Config, WriteMode};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    SERVICE, VERSION, begin, block_list, commit, create, escaped, finalize, find, json_of, link, look_up,
    misses, patch, reserve, save, target, with,
};
use crate::protocol::bytes;
use crate::support::client::{Answer, Client, within};
use crate::support::pair::{Pair, member, sees};
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};
use crate::support::server::TestServer;
use crate::support::token::now;

/// What a server adds that passes a request on: the one that gets it answers by itself.
const PASSED: (&str, &str) = ("x-chacha-passed", "1");

/// A call of the second generation that is not passed on.
async fn call_here(client: &Client, method: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), PASSED];
    let path = format!("{SERVICE}/{method}");
    client.send(Method::POST, &path, &headers, body.to_string()).await
}

/// An upload on this server, whatever its home would be.
async fn create_here(client: &Client, key: &str) -> String {
    let body = json!({"key": key, "version": VERSION});
    let created = json_of(&call_here(client, "CreateCacheEntry", body).await);
    assert_eq!(created["ok"], true, "{created}");
    target(created["signed_upload_url"].as_str().unwrap())
}

async fn restored(client: &Client, key: &str) -> Vec<u8> {
    client.get(&link(client, key).await).await.body.into()
}

fn passed_on(lines: &[Value]) -> usize {
    let passed = |line: &&Value| line["tier"] == "peer" && line["status"].as_u64().unwrap() < 300;
    lines.iter().filter(passed).count()
}

#[tokio::test]
async fn every_request_may_go_to_another_server() {
    let mut pair = Pair::start().await;
    let (client, other) = (pair.tenant("acme/app"), pair.tenant("other/app"));
    for nth in 0..10 {
        let (two, one) = (format!("v2-{nth}"), format!("v1-{nth}"));
        let archive = bytes(100_000 + nth, nth as u64);
        assert!(misses(&client, &two).await);
        save(&client, &two, archive.clone()).await;
        assert!(restored(&client, &two).await == archive, "{nth}");
        let url = link(&client, &two).await;
        let part = pair
            .anonymous()
            .get_with(&url, &[("x-ms-range", "bytes=7-12")])
            .await;
        assert_eq!(
            (part.status, &part.body[..]),
            (StatusCode::PARTIAL_CONTENT, &archive[7..13])
        );

        let id = begin(&client, &one).await;
        let (front, back) = archive.split_at(60_000);
        for (start, chunk) in [(60_000, back), (0, front)] {
            let answer = patch(&client, id, start, chunk.to_vec()).await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT);
        }
        assert_eq!(patch(&other, id, 0, "xyz").await.status, StatusCode::NOT_FOUND);
        assert_eq!(
            commit(&other, id, archive.len()).await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            commit(&client, id, archive.len()).await.status,
            StatusCode::NO_CONTENT
        );
        // Again, as a client that did not hear the answer.
        assert_eq!(
            commit(&client, id, archive.len()).await.status,
            StatusCode::NO_CONTENT
        );
        let found = json_of(&look_up(&client, &one).await);
        let url = target(found["archiveLocation"].as_str().unwrap());
        assert!(pair.anonymous().get(&url).await.body == archive, "{nth}");
        for key in [&one, &two] {
            assert!(misses(&other, key).await);
            let again = reserve(&client, json!({"key": key, "version": VERSION})).await;
            assert_eq!(again.status, StatusCode::CONFLICT);
        }
        if nth % 2 == 1 {
            // From now on the same requests go to the other servers.
            client.get("/none").await;
        }
    }
    // Not all homes of twenty keys are on one server.
    for lines in [pair.one.log().await, pair.two.log().await] {
        assert!(passed_on(&lines) > 0);
    }
}

#[tokio::test]
async fn blocks_arrive_through_both_servers() {
    let pair = Pair::start().await;
    let client = pair.tenant("acme/app");
    for nth in 0..4_u64 {
        let key = format!("k{nth}");
        let url = create(&client, &key).await;
        let blocks: Vec<Vec<u8>> = (0..5).map(|nth| bytes(20_000 + nth, 9 + nth as u64)).collect();
        let ids: Vec<String> = (0..5)
            .map(|id| STANDARD.encode(bytes(16, 50 * nth + id)))
            .collect();
        for at in [3, 0, 4, 2, 1] {
            let url = with(&url, &format!("comp=block&blockid={}", escaped(&ids[at])));
            let put = pair.anonymous().put(&url, blocks[at].clone()).await;
            assert_eq!(put.status, StatusCode::CREATED);
            assert_eq!(put.headers.get_all("x-ms-request-id").iter().count(), 1);
        }
        let list = with(&url, "comp=blocklist");
        let put = pair.anonymous().put(&list, block_list(&ids)).await;
        assert_eq!(put.status, StatusCode::CREATED);
        let unknown = block_list(&[STANDARD.encode("unknown")]);
        let refused = pair.anonymous().put(&list, unknown).await;
        assert_eq!(refused.header("x-ms-error-code"), "InvalidBlockList");
        let whole = blocks.concat();
        assert_eq!(json_of(&finalize(&client, &key, whole.len()).await)["ok"], true);
        assert!(restored(&client, &key).await == whole);
    }
}

#[tokio::test]
async fn a_link_of_one_server_is_good_on_the_other() {
    let pair = Pair::start().await;
    let [one, _] = pair.both();
    save(&one, "k", "0123456789").await;
    let url = link(&one, "k").await;
    let reader = pair.two.anonymous();
    assert_eq!(reader.get(&url).await.text(), "0123456789");
    let part = reader.get_with(&url, &[("range", "bytes=-3")]).await;
    assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "789"));
    let upload = create(&one, "n").await;
    assert_eq!(reader.put(&url, "x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(reader.get(&upload).await.status, StatusCode::FORBIDDEN);
    for forged in [url.replace("sig=", "sig=A"), upload.replace("se=", "se=1")] {
        let answer = reader.put(&forged, "x").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.header("x-ms-error-code"), "AuthenticationFailed");
    }
}

#[tokio::test]
async fn a_commit_is_found_on_the_other_server_at_once() {
    let pair = Pair::start().await;
    let clients = pair.both();
    // Nobody can read the journal: only what the servers tell each other counts.
    pair.s3.faults().always(Kind::List, Action::access_denied());
    for nth in 0..8 {
        let (here, there) = (&clients[nth % 2], &clients[1 - nth % 2]);
        let key = format!("k{nth}");
        assert!(misses(there, &key).await);
        save(here, &key, key.clone()).await;
        let found = find(there, "none", &[&key]).await;
        assert_eq!(found["matched_key"], key.as_str(), "{found}");
    }
}

#[tokio::test]
async fn an_entry_that_is_not_in_the_bucket_yet_is_found_all_the_same() {
    const MIB: usize = 1 << 20;
    let pair = Pair::start_with(|config| {
        let s3 = config.s3.as_mut().unwrap();
        (s3.write, s3.part_size) = (WriteMode::Back, MIB as u64);
    })
    .await;
    let [one, two] = pair.both();
    let gate = Gate::new();
    let faults = pair.s3.faults();
    // Entries only: the journal and what else servers share have other names.
    for digit in "0123456789abcdef".chars() {
        let entries = Which::from([Kind::Put, Kind::Create]).of(&format!("v1/{digit}"));
        faults.always(entries, Action::Hold(gate.clone()));
    }
    // What was forgotten would never be learned again.
    faults.always(Kind::List, Action::access_denied());
    let archive = bytes(3 * MIB, 1);
    let url = create_here(&one, "k").await;
    assert_eq!(one.put(&url, archive.clone()).await.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&one, "k", archive.len()).await)["ok"], true);
    gate.reached(1).await;
    // The other one asks the server that has it.
    for client in [&two, &one, &two] {
        assert!(restored(client, "k").await == archive);
    }
    gate.open();
    assert!(restored(&two, "k").await == archive);
}

#[tokio::test]
async fn a_server_that_has_just_come_is_found() {
    let s3 = S3Server::memory();
    // This one looks by itself only once.
    let slow = |config: &mut Config| config.gha.heartbeat = Duration::from_secs(600);
    let one = member(&s3, slow).await;
    let providers = one.config().providers.clone();
    let two = member(&s3, |config| config.providers = providers).await;
    let token = one.token("acme/app");
    let [here, there] = [&two, &one].map(|server| server.anonymous().with_token(&token));
    let url = create_here(&here, "k").await;
    // Not by the number of the upload, which would tell of the other server.
    assert_eq!(here.put(&url, "abc").await.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&there, "k", 3).await)["ok"], true);
}

#[tokio::test]
async fn a_server_that_has_just_come_is_found_by_its_uploads() {
    let s3 = S3Server::memory();
    let slow = |config: &mut Config| config.gha.heartbeat = Duration::from_secs(600);
    let one = member(&s3, slow).await;
    let providers = one.config().providers.clone();
    let two = member(&s3, |config| config.providers = providers).await;
    let client = two.anonymous().with_token(&one.token("acme/app"));
    let url = create_here(&client, "k").await;
    assert_eq!(one.anonymous().put(&url, "abc").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn uploads_of_a_server_that_is_gone_fail_cleanly() {
    let mut pair = Pair::start().await;
    let [one, two] = pair.both();
    let url = create_here(&one, "v2").await;
    let body = json!({"key": "v1", "version": VERSION}).to_string();
    let caches = "/_apis/artifactcache/caches";
    let begun = json_of(&one.send(Method::POST, caches, &[PASSED], body).await);
    let id = begun["cacheId"].as_u64().unwrap();
    // Alive, and reached through the other one.
    assert_eq!(two.put(&url, "abc").await.status, StatusCode::CREATED);
    assert_eq!(patch(&two, id, 0, "abc").await.status, StatusCode::NO_CONTENT);
    pair.one.stop().await;
    let gone = async {
        loop {
            let answers = [two.put(&url, "abc").await, patch(&two, id, 0, "abc").await];
            let statuses = answers.map(|answer| answer.status);
            match statuses {
                [StatusCode::NOT_FOUND, StatusCode::NOT_FOUND] => break,
                // Until the server is known to be gone.
                [first, second] => assert!(
                    [first, second]
                        .iter()
                        .all(|status| matches!(status.as_u16(), 503 | 404)),
                    "{first} {second}"
                ),
            }
        }
    };
    within(gone).await;
    assert_eq!(commit(&two, id, 3).await.status, StatusCode::NOT_FOUND);
    assert_eq!(finalize(&two, "v2", 3).await.status, StatusCode::NOT_FOUND);
    for key in ["v1", "v2"] {
        save(&two, key, "anew").await;
        assert_eq!(restored(&two, key).await, b"anew");
    }
    let lines = pair.two.log().await;
    let put = lines.iter().find(|line| line["method"] == "PUT").unwrap();
    assert_eq!((&put["tier"], &put["status"]), (&json!("peer"), &json!(201)));
    assert_eq!(
        (&put["outcome"], &put["received"]),
        (&json!("control"), &json!(3))
    );
}

#[tokio::test]
async fn a_server_that_was_killed_is_done_without() {
    let s3 = S3Server::memory();
    let server = member(&s3, |_| {}).await;
    let client = server.acme();
    // The heartbeat of a server that nobody reaches: one that was there a moment ago.
    let mut gone = member(&s3, |_| {}).await;
    sees(&server, 1).await;
    let number = std::fs::read_to_string(gone.dir().join("cache/server/id")).unwrap();
    let number: u64 = number.trim().parse().unwrap();
    let shown = s3.objects().into_keys();
    let shown: Vec<String> = shown.filter(|name| name.starts_with("v1/servers/")).collect();
    gone.stop().await;
    for name in shown {
        s3.put_raw(&name, "", &[]);
    }
    let id = number << 41 | 7;
    let answer = patch(&client, id, 0, "abc").await;
    assert!(matches!(answer.status.as_u16(), 503 | 404), "{}", answer.status);
    // About half of these belong to the other one.
    for nth in 0..8 {
        save(&client, &format!("k{nth}"), "x").await;
        assert_eq!(restored(&client, &format!("k{nth}")).await, b"x");
    }
    assert_eq!(finalize(&client, "none", 3).await.status, StatusCode::NOT_FOUND);
    sees(&server, 0).await;
    for answer in [patch(&client, id, 0, "abc").await, commit(&client, id, 3).await] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn of_two_that_begin_the_same_key_one_wins() {
    let pair = Pair::start().await;
    let clients =
        [&pair.one, &pair.two].map(|server| server.anonymous().with_token(&pair.one.token("acme/app")));
    for nth in 0..6 {
        let body = json!({"key": format!("r{nth}"), "version": VERSION});
        let (one, two) = tokio::join!(reserve(&clients[0], body.clone()), reserve(&clients[1], body));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "both have the same home");
    }
    // Servers that do not know each other for a moment.
    let urls = [
        create_here(&clients[0], "k").await,
        create_here(&clients[1], "k").await,
    ];
    let archives = [bytes(90_000, 1), bytes(90_000, 2)];
    let mut won = Vec::new();
    for (client, (url, archive)) in clients.iter().zip(urls.iter().zip(&archives)) {
        let put = client.put_with(url, &[PASSED], archive.clone()).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    let body = json!({"key": "k", "version": VERSION, "size_bytes": "90000"});
    let calls = clients
        .each_ref()
        .map(|client| call_here(client, "FinalizeCacheEntryUpload", body.clone()));
    let answers = futures_util::future::join_all(calls).await;
    for (answer, archive) in answers.iter().zip(&archives) {
        match answer.status {
            StatusCode::OK => won.push(archive),
            status => assert_eq!(status, StatusCode::CONFLICT),
        }
    }
    assert_eq!(won.len(), 1, "{answers:?}");
    for client in &clients {
        assert!(restored(client, "k").await == *won[0]);
    }
}

/// A job whose token is good for two to three seconds.
fn short(server: &TestServer) -> String {
    server.issuer.token(json!({"exp": now() + 3}))
}

#[tokio::test]
async fn an_upload_is_finalized_through_any_server() {
    let pair = Pair::start_with(|config| config.providers[0].leeway = Duration::ZERO).await;
    let clients = pair.both();
    for (nth, (here, there)) in [(0, 1), (1, 0)].into_iter().enumerate() {
        let key = format!("k{nth}");
        let url = create_here(&clients[here], &key).await;
        assert_eq!(clients[there].put(&url, "abc").await.status, StatusCode::CREATED);
        assert_eq!(
            finalize(&clients[there], &key, 4).await.status,
            StatusCode::BAD_REQUEST
        );
        let done = json_of(&finalize(&clients[there], &key, 3).await);
        assert_eq!(done["ok"], true, "{done}");
        assert_eq!(json_of(&finalize(&clients[there], &key, 3).await), done);
        assert_eq!(json_of(&finalize(&clients[here], &key, 3).await), done);
    }
    let (token, stranger) = (short(&pair.one), short(&pair.one));
    let url = create_here(&pair.one.anonymous().with_token(&token), "late").await;
    let late = pair.two.anonymous().with_token(&token);
    assert_eq!(late.put(&url, "abc").await.status, StatusCode::CREATED);
    within(async {
        while late.get("/none").await.status != StatusCode::UNAUTHORIZED {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stranger = pair.two.anonymous().with_token(&stranger);
    assert_eq!(finalize(&stranger, "late", 3).await.status, StatusCode::NOT_FOUND);
    assert_eq!(json_of(&finalize(&late, "late", 3).await)["ok"], true);
}

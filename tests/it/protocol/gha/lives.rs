//! The lives of uploads and entries: restarts, jobs that race, tenants that leave things behind.

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::support::server::TestServer;

fn archive(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8 ^ seed).collect()
}

#[tokio::test]
async fn entries_and_links_survive_a_restart() {
    let mut server = TestServer::start().await;
    let body = archive(200_000, 1);
    save(&server.acme(), "deps-1", body.clone()).await;
    let old = link(&server.acme(), "deps-1").await;
    server.restart().await;
    let client = server.acme();
    assert_eq!(client.get(&old).await.body, body, "a link of before");
    let found = find(&client, "deps-2", &["deps-"]).await;
    assert_eq!(found["matched_key"], "deps-1");
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let mut server = TestServer::start().await;
    let (first, second) = (archive(300_000, 2), archive(70_000, 3));
    let url = create(&server.acme(), "deps").await;
    let id = begin(&server.acme(), "old-deps").await;
    for (name, part) in [("QUFB", &first)] {
        let url = with(&url, &format!("comp=block&blockid={name}"));
        let put = server.anonymous().put(&url, part.clone()).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    patch(&server.acme(), id, 300_000, second.clone()).await;
    server.restart().await;
    let client = server.acme();
    let put = client
        .put(&with(&url, "comp=block&blockid=QkJC"), second.clone())
        .await;
    assert_eq!(put.status, StatusCode::CREATED);
    let list = "<BlockList><Latest>QUFB</Latest><Latest>QkJC</Latest></BlockList>";
    assert_eq!(
        client.put(&with(&url, "comp=blocklist"), list).await.status,
        StatusCode::CREATED
    );
    assert_eq!(json_of(&finalize(&client, "deps", 370_000).await)["ok"], true);
    patch(&client, id, 0, first.clone()).await;
    assert_eq!(commit(&client, id, 370_000).await.status, StatusCode::NO_CONTENT);
    let whole = [first, second].concat();
    for key in ["deps", "old-deps"] {
        assert_eq!(client.get(&link(&client, key).await).await.body, whole, "{key}");
    }
}

/// Zeros 16 pages of the only data file of an upload, as a power loss that came before the pages were written.
fn lose_pages_of_the_upload(server: &TestServer) {
    use std::os::unix::fs::FileExt;
    let files = server.dir().join("cache/uploads").read_dir().unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let data = paths.find(|path| path.extension().is_some_and(|name| name == "data"));
    let file = std::fs::File::options().write(true).open(data.unwrap()).unwrap();
    file.write_all_at(&[0; 64 << 10], 300 * 4096).unwrap();
}

#[tokio::test]
async fn an_upload_that_lost_bytes_in_a_power_loss_is_no_entry_and_can_be_completed() {
    let mut server = TestServer::start().await;
    let body = archive(3_000_000, 4);
    let id = begin(&server.acme(), "deps").await;
    patch(&server.acme(), id, 0, body.clone()).await;
    server.stop().await;
    lose_pages_of_the_upload(&server);
    server.restart().await;
    let client = server.acme();
    assert_eq!(
        commit(&client, id, 3_000_000).await.status,
        StatusCode::BAD_REQUEST
    );
    assert!(misses(&client, "deps").await);
    patch(&client, id, 0, body.clone()).await;
    assert_eq!(
        commit(&client, id, 3_000_000).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(client.get(&link(&client, "deps").await).await.body, body);
}

#[tokio::test]
async fn a_commit_that_was_not_heard_succeeds_again_after_a_restart() {
    let mut server = TestServer::start().await;
    save(&server.acme(), "deps", "archive").await;
    server.restart().await;
    let client = server.acme();
    let again = json_of(&finalize(&client, "deps", 7).await);
    assert_eq!(again["ok"], true, "{again}");
    let wrong = json_of(&finalize(&client, "deps", 8).await);
    assert_ne!(wrong["ok"], true, "{wrong}");
}

#[tokio::test]
async fn an_entry_that_was_evicted_is_a_miss_and_can_be_saved_again() {
    let server = TestServer::start_with(|config| {
        config.disk.as_mut().unwrap().limit = 4 << 20;
    })
    .await;
    let client = server.acme();
    save(&client, "deps-old", archive(1 << 20, 4)).await;
    let old = link(&client, "deps-old").await;
    for n in 0..6 {
        save(&client, &format!("other-{n}"), archive(1 << 20, n)).await;
    }
    assert!(misses(&client, "deps-old").await);
    assert_eq!(client.get(&old).await.status, StatusCode::NOT_FOUND);
    save(&client, "deps-old", "new").await;
    assert_eq!(client.get(&link(&client, "deps-old").await).await.body, "new");
    // The link was for other bytes.
    assert_eq!(client.get(&old).await.status, StatusCode::NOT_FOUND);
}

/// Alone, a tenant may fill everything with what it never ends. The links of its uploads need no token.
#[tokio::test]
async fn uploads_that_are_left_behind_leave_others_their_share() {
    let server = TestServer::start_with(|config| {
        config.disk.as_mut().unwrap().limit = 8 << 20;
    })
    .await;
    let (acme, globex) = (server.acme(), server.tenant("globex/app"));
    save(&globex, "kept", archive(1 << 20, 5)).await;
    let mut left = 0;
    for n in 0..8 {
        let url = create(&acme, &format!("left-{n}")).await;
        let put = server
            .anonymous()
            .put(&with(&url, "comp=block&blockid=QUFB"), archive(1 << 20, n))
            .await;
        left += usize::from(put.status == StatusCode::CREATED);
    }
    assert!((5..=7).contains(&left), "{left}");
    for n in 0..2 {
        save(&globex, &format!("more-{n}"), archive(1 << 20, 6 + n)).await;
    }
    for key in ["kept", "more-0", "more-1"] {
        assert!(!misses(&globex, key).await, "{key}");
    }
}

#[tokio::test]
async fn a_tenant_has_so_many_uploads_at_once() {
    let server = TestServer::start_with(|config| config.gha.max_uploads = 3).await;
    let acme = server.acme();
    let first = create(&acme, "key-0").await;
    for n in 1..3 {
        create(&acme, &format!("key-{n}")).await;
    }
    let body = json!({"key": "key-3", "version": VERSION});
    let busy = call(&acme, "CreateCacheEntry", body).await;
    assert_eq!(busy.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(busy.headers.contains_key("retry-after"));
    assert_eq!(json_of(&busy)["code"], "resource_exhausted");
    create(&server.tenant("globex/app"), "key-3").await;
    let done = finalize(&acme, "key-0", 1).await;
    assert_ne!(json_of(&done)["ok"], true, "nothing was put");
    assert_eq!(acme.put(&first, "x").await.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&acme, "key-0", 1).await)["ok"], true);
    create(&acme, "key-3").await;
}

#[tokio::test]
async fn of_two_jobs_one_uploads_and_the_other_is_told() {
    let server = TestServer::start().await;
    let (one, two) = (server.acme(), server.acme());
    let url = create(&one, "deps").await;
    let body = json!({"key": "deps", "version": VERSION});
    let told = call(&two, "CreateCacheEntry", body).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    assert_eq!(json_of(&told)["code"], "already_exists");
    assert_eq!(one.put(&url, "one").await.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&one, "deps", 3).await)["ok"], true);
    let gone = one.put(&url, "two").await;
    assert_eq!(gone.status, StatusCode::CONFLICT);
    assert_eq!(one.get(&link(&two, "deps").await).await.body, "one");
}

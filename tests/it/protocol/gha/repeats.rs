//! Saves of one key by one token: jobs that share one, exports that run side by side, clients that did not hear an
//! answer.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;

use super::{
    VERSION, begin, call, commit, create, create_anew, finalize, json_of, link, patch, reserve, with,
};
use crate::support::client::Client;
use crate::support::server::TestServer;

/// BuildKit takes only this for "exists" and fails the export for everything else.
async fn is_refused(client: &Client, key: &str) {
    let body = json!({"key": key, "version": VERSION});
    let second = call(client, "CreateCacheEntry", body.clone()).await;
    let told = json_of(&second);
    assert_eq!(
        (second.status, &told["code"]),
        (StatusCode::CONFLICT, &json!("already_exists")),
        "{told}"
    );
    let old = reserve(client, body).await;
    let told = json_of(&old);
    assert_eq!(old.status, StatusCode::CONFLICT, "{told}");
    assert_eq!(told["typeKey"], "ArtifactCacheItemAlreadyExistsException");
}

#[tokio::test]
async fn a_second_save_by_the_same_token_is_told_that_the_entry_exists() {
    let server = TestServer::start().await;
    let client = server.acme();
    let (url, id) = (create(&client, "two").await, begin(&client, "one").await);
    for key in ["one", "two"] {
        is_refused(&client, key).await;
    }
    let block = with(&url, "comp=block&blockid=QUFB");
    assert_eq!(client.put(&block, "abc").await.status, StatusCode::CREATED);
    assert_eq!(patch(&client, id, 0, "abc").await.status, StatusCode::NO_CONTENT);
    for key in ["one", "two"] {
        is_refused(&client, key).await;
    }
    // The first saves heard nothing of that.
    let list = "<BlockList><Latest>QUFB</Latest></BlockList>";
    let listed = client.put(&with(&url, "comp=blocklist"), list).await;
    assert_eq!(listed.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&client, "two", 3).await)["ok"], true);
    assert_eq!(commit(&client, id, 3).await.status, StatusCode::NO_CONTENT);
    for key in ["one", "two"] {
        is_refused(&client, key).await;
        assert_eq!(client.get(&link(&client, key).await).await.text(), "abc");
    }
}

/// BuildKit moves on to the next number of its index only if a reservation that was left behind is still refused
/// after two pauses of two seconds.
#[tokio::test]
async fn a_client_that_did_not_hear_the_answer_may_begin_anew_after_some_seconds() {
    let server = TestServer::start().await;
    let client = server.acme();
    let since = Instant::now();
    let (first, old) = (create(&client, "k").await, begin(&client, "l").await);
    let second = create_anew(&client, "k").await;
    let waited = since.elapsed();
    assert!(waited >= Duration::from_secs(6), "{waited:?}");
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    let new = begin(&client, "l").await;
    assert_eq!(client.put(&first, "old").await.status, StatusCode::CONFLICT);
    assert_eq!(patch(&client, old, 0, "old").await.status, StatusCode::CONFLICT);
    assert_eq!(client.put(&second, "new").await.status, StatusCode::CREATED);
    assert_eq!(patch(&client, new, 0, "new").await.status, StatusCode::NO_CONTENT);
    assert_eq!(json_of(&finalize(&client, "k", 3).await)["ok"], true);
    assert_eq!(commit(&client, new, 3).await.status, StatusCode::NO_CONTENT);
}

/// However slow its client is: a body on its way is traffic.
#[tokio::test]
async fn an_upload_whose_body_is_on_its_way_is_not_begun_anew() {
    let server = TestServer::start().await;
    let client = server.acme();
    let url = create(&client, "k").await;
    let mut slow = client.raw().await;
    slow.head(&format!("PUT {url} HTTP/1.1"), "Content-Length: 3\r\n")
        .await;
    slow.write(b"a").await;
    let since = Instant::now();
    let mut clock = tokio::time::interval(Duration::from_millis(500));
    while since.elapsed() < Duration::from_secs(8) {
        clock.tick().await;
        is_refused(&client, "k").await;
    }
    slow.write(b"bc").await;
    assert!(
        slow.read_head().await.starts_with("HTTP/1.1 201"),
        "the body arrived"
    );
    assert_eq!(json_of(&finalize(&client, "k", 3).await)["ok"], true);
}

/// What `docker buildx bake` does: several exports with one token and common layers, whose only error that counts for
/// nothing is "exists".
#[tokio::test]
async fn exports_side_by_side_share_their_layers() {
    let server = TestServer::start().await;
    let client = server.acme();
    let export = |client: Client| async move {
        for layer in 0..6 {
            let key = format!("buildkit-blob-1-sha256:{layer}");
            let body = json!({"key": key, "version": VERSION});
            let created = call(&client, "CreateCacheEntry", body).await;
            if created.status == StatusCode::CONFLICT {
                continue;
            }
            let url = super::target(json_of(&created)["signed_upload_url"].as_str().unwrap());
            let put = client.send(Method::PUT, &url, &[], vec![layer; 300_000]).await;
            assert_eq!(put.status, StatusCode::CREATED, "{layer}");
            let done = json_of(&finalize(&client, &key, 300_000).await);
            assert_eq!(done["ok"], true, "{layer}: {done}");
        }
    };
    let exports = (0..4).map(|_| tokio::spawn(export(client.clone())));
    for export in exports.collect::<Vec<_>>() {
        export.await.unwrap();
    }
    for layer in 0..6 {
        let key = format!("buildkit-blob-1-sha256:{layer}");
        assert_eq!(
            client.get(&link(&client, &key).await).await.body,
            vec![layer; 300_000]
        );
    }
}

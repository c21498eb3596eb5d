//! Commits that take long: nobody ends the upload meanwhile, and the same question gets the same answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;

use super::{
    VERSION, begin, call, commit, create, finalize, json_of, link, misses, patch, reserve, save, with,
};
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};
use crate::support::server::TestServer;

/// A server whose bucket holds all entries back until the gate opens.
async fn start() -> (TestServer, Gate, Arc<S3Server>) {
    let s3 = Arc::new(S3Server::memory());
    let section = s3.config(S3Server::BUCKET);
    let server = TestServer::start_with(|config| config.s3 = Some(section)).await;
    let gate = Gate::new();
    for digit in "0123456789abcdef".chars() {
        let entries = Which::from([Kind::Put, Kind::Create]).of(&format!("v1/{digit}"));
        s3.faults().always(entries, Action::Hold(gate.clone()));
    }
    (server, gate, s3)
}

#[tokio::test]
async fn a_save_of_what_is_being_committed_is_told_at_once() {
    let (server, gate, _s3) = start().await;
    let (client, other) = (server.acme(), server.acme());
    let (id, url) = (begin(&client, "one").await, create(&client, "two").await);
    assert_eq!(patch(&client, id, 0, "abc").await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.put(&url, "abc").await.status, StatusCode::CREATED);
    let (one, two) = (client.clone(), client.clone());
    let first = tokio::spawn(async move { commit(&one, id, 3).await.status });
    let second = tokio::spawn(async move { json_of(&finalize(&two, "two", 3).await) });
    gate.reached(2).await;
    for job in [&client, &other] {
        for key in ["one", "two"] {
            let body = json!({"key": key, "version": VERSION});
            assert_eq!(reserve(job, body.clone()).await.status, StatusCode::CONFLICT);
            let told = json_of(&call(job, "CreateCacheEntry", body).await);
            assert_eq!(told["code"], "already_exists", "{told}");
        }
    }
    assert!(
        !first.is_finished() && !second.is_finished(),
        "the bucket holds them back"
    );
    gate.open();
    assert_eq!(first.await.unwrap(), StatusCode::NO_CONTENT);
    assert_eq!(second.await.unwrap()["ok"], true);
    assert_eq!(commit(&client, id, 3).await.status, StatusCode::NO_CONTENT);
    assert_eq!(json_of(&finalize(&client, "two", 3).await)["ok"], true);
    for key in ["one", "two"] {
        assert_eq!(client.get(&link(&client, key).await).await.text(), "abc");
    }
}

/// The first ones may wait until it is known.
#[tokio::test]
async fn a_save_does_not_wait_for_a_bucket_that_is_known_to_be_away() {
    let s3 = Arc::new(S3Server::memory());
    let section = s3.config(S3Server::BUCKET);
    let server = TestServer::start_with(|config| config.s3 = Some(section)).await;
    let client = server.acme();
    s3.stop_listening().await;
    save(&client, "first", "abc").await;
    let begun = Instant::now();
    for key in ["second", "third", "fourth"] {
        save(&client, key, "abc").await;
        assert_eq!(client.get(&link(&client, key).await).await.text(), "abc");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
}

/// The parts are within the limit, each by itself.
#[tokio::test]
async fn an_archive_of_parts_that_fit_is_held_against_the_largest_entry() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    let client = server.acme();
    let url = create(&client, "blocks").await;
    for block in ["QUFB", "QkJC"] {
        let url = with(&url, &format!("comp=block&blockid={block}"));
        let put = server.anonymous().put(&url, vec![1; 600]).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    let list = "<BlockList><Latest>QUFB</Latest><Latest>QkJC</Latest></BlockList>";
    let put = server.anonymous().put(&with(&url, "comp=blocklist"), list).await;
    assert_eq!(put.status, StatusCode::CREATED);
    assert_ne!(json_of(&finalize(&client, "blocks", 1200).await)["ok"], true);
    assert!(misses(&client, "blocks").await);
}

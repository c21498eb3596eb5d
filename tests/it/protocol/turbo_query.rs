//! `POST /v8/artifacts`: which of several artifacts there are, and what a hostile list of them costs others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::s3::{Action, Kind, S3Server};
use crate::support::server::TestServer;
use crate::support::wait::until;

const HEADERS: [(&str, &str); 2] = [
    ("x-artifact-duration", "1234"),
    ("x-artifact-tag", "c2lnbmF0dXJl"),
];

fn query_of(hashes: impl IntoIterator<Item = String>) -> String {
    json!({"hashes": hashes.into_iter().collect::<Vec<_>>()}).to_string()
}

async fn ask(client: &Client, query: String) -> Answer {
    client
        .send(Method::POST, "/v8/artifacts?slug=t", &[], query)
        .await
}

async fn with_bucket(s3: &S3Server) -> TestServer {
    let section = s3.config(S3Server::BUCKET);
    TestServer::start_with(|config| config.s3 = Some(section)).await
}

#[tokio::test]
async fn a_query_tells_which_artifacts_exist() {
    let server = TestServer::start().await;
    server
        .acme()
        .put_with("/v8/artifacts/aa11?slug=t", &HEADERS, "artifact")
        .await;
    let query = json!({"hashes": ["aa11", "bb22"]}).to_string();
    let answer = server
        .acme()
        .send(Method::POST, "/v8/artifacts?slug=t", &[], query)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let found: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        found["aa11"],
        json!({"size": 8, "taskDurationMs": 1234, "tag": "c2lnbmF0dXJl"})
    );
    assert_eq!(found["bb22"], Value::Null);
    let bad = server
        .acme()
        .send(Method::POST, "/v8/artifacts?slug=t", &[], "nonsense")
        .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_body_of_a_query_is_checked_like_any_other() {
    let mut server = TestServer::start().await;
    let query = json!({"hashes": ["aa11"]}).to_string();
    let mut raw = server.acme().raw().await;
    let coding = "Transfer-Encoding: gzip, chunked\r\n";
    raw.head("POST /v8/artifacts HTTP/1.1", coding).await;
    let chunk = format!("{:x}\r\n{query}\r\n0\r\n\r\n", query.len());
    raw.try_write(chunk.as_bytes()).await;
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    // What is too long is refused while the client still sends, and it gets to read that.
    let mut raw = server.acme().raw().await;
    let length = format!("Content-Length: {}\r\n", 8 << 20);
    raw.head("POST /v8/artifacts HTTP/1.1", &length).await;
    for nth in 0..8 {
        assert!(raw.try_write(&vec![b' '; 1 << 20]).await, "reset at MiB {nth}");
    }
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let client = server.acme();
    client
        .send(Method::POST, "/v8/artifacts", &[], query.clone())
        .await;
    let lines = server.log().await;
    assert_eq!(lines.last().unwrap()["received"], query.len());
}

#[tokio::test]
async fn a_list_of_more_hashes_than_a_call_may_have_is_refused() {
    let server = TestServer::start().await;
    let numbers = |count: u32| query_of((0..count).map(|nth| nth.to_string()));
    assert_eq!(ask(&server.acme(), numbers(20_000)).await.status, StatusCode::OK);
    for count in [20_001, 110_000] {
        let refused = ask(&server.acme(), numbers(count)).await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        let body: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(body["error"]["code"], "too_large");
    }
}

#[tokio::test]
async fn a_hash_that_is_repeated_is_looked_up_once() {
    let s3 = S3Server::memory();
    let server = with_bucket(&s3).await;
    s3.forget();
    let answer = ask(&server.acme(), query_of(vec!["aa11".to_owned(); 2000])).await;
    assert_eq!(answer.text(), "{\"aa11\":null}");
    // One for each namespace of the caller.
    assert!(
        (1..=2).contains(&s3.count(Kind::Head)),
        "{}",
        s3.count(Kind::Head)
    );
}

#[tokio::test]
async fn look_ups_of_one_query_run_at_once_but_not_all() {
    let s3 = S3Server::memory();
    let server = with_bucket(&s3).await;
    s3.faults()
        .always(Kind::Head, Action::Delay(Duration::from_millis(30)));
    s3.forget();
    let answer = ask(&server.acme(), query_of((0..100).map(|nth| nth.to_string()))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let most = s3.most_in_flight();
    // An answer counts until it has left whole.
    assert!((8..=24).contains(&most), "{most}");
}

/// The server, its clients and this test share one thread: whatever does not let go of it stops all others.
#[tokio::test]
async fn a_query_of_many_hashes_lets_others_have_their_turns() {
    let server = TestServer::start().await;
    let (query, other) = (server.acme(), server.tenant("other/app"));
    other.put("/k", "x").await;
    // Short enough to be read on this thread.
    let list = query_of((0..8000).map(|nth| format!("{nth:x}")));
    assert!(list.len() < 64 * 1024);
    let answered = Arc::new(AtomicBool::new(false));
    let querying = tokio::spawn({
        let answered = Arc::clone(&answered);
        async move {
            let answer = ask(&query, list).await;
            answered.store(true, Ordering::Relaxed);
            answer.status
        }
    });
    let mut meanwhile = 0;
    while !answered.load(Ordering::Relaxed) {
        assert_eq!(other.get("/k").await.text(), "x");
        meanwhile += 1;
    }
    assert_eq!(querying.await.unwrap(), StatusCode::OK);
    assert!(meanwhile >= 10, "{meanwhile}");
}

#[tokio::test]
async fn a_query_ends_when_its_client_leaves() {
    const HASHES: usize = 3000;
    let s3 = S3Server::memory();
    let mut server = with_bucket(&s3).await;
    s3.faults()
        .always(Kind::Head, Action::Delay(Duration::from_millis(50)));
    s3.forget();
    let list = query_of((0..HASHES).map(|nth| nth.to_string()));
    let mut raw = server.acme().raw().await;
    let length = format!("Content-Length: {}\r\n", list.len());
    raw.head("POST /v8/artifacts HTTP/1.1", &length).await;
    raw.write(list.as_bytes()).await;
    until("look-ups run", || s3.count(Kind::Head) >= 50).await;
    drop(raw);
    until("they have ended", || s3.in_flight() == 0).await;
    let asked = s3.count(Kind::Head);
    assert!(asked < HASHES, "{asked}");
    let log = server.log().await;
    let line = log.iter().find(|line| line["route"] == "/v8/artifacts").unwrap();
    assert_eq!(line["outcome"], "cut");
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_the_answer_to_its_query() {
    let s3 = S3Server::memory();
    let server = with_bucket(&s3).await;
    s3.faults()
        .always(Kind::Head, Action::Delay(Duration::from_millis(300)));
    let list = query_of((0..20).map(|nth| nth.to_string()));
    let mut raw = server.acme().raw().await;
    let length = format!("Content-Length: {}\r\n", list.len());
    raw.head("POST /v8/artifacts HTTP/1.1", &length).await;
    raw.write(list.as_bytes()).await;
    raw.finish().await;
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

//! `PUT`, `POST` and `DELETE`.

use http::{Method, StatusCode};

use super::bytes;
use crate::support::server::TestServer;

#[tokio::test]
async fn post_stores_raw_bytes_whatever_the_media_type_says() {
    let server = TestServer::start().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = server.acme().send(Method::POST, "/k", &form, "a=b&c=%41").await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(server.acme().get("/k").await.text(), "a=b&c=%41");
}

#[tokio::test]
async fn the_query_is_not_part_of_the_key() {
    let server = TestServer::start().await;
    server.acme().put("/k?one=1", "x").await;
    assert_eq!(server.acme().get("/k?two=2").await.text(), "x");
}

#[tokio::test]
async fn encoded_bodies_come_back_unchanged() {
    let server = TestServer::start().await;
    server
        .acme()
        .put_with("/k", &[("content-encoding", "gzip")], "not gzip at all")
        .await;
    let answer = server.acme().get("/k").await;
    assert_eq!(answer.text(), "not gzip at all");
    assert_eq!(answer.header("content-encoding"), "");
}

#[tokio::test]
async fn an_overwrite_is_seen_at_once() {
    let server = TestServer::start().await;
    for size in [3, 20_000, 700_000, 3] {
        let body = bytes(size, size as u64);
        server.acme().put("/k", body.clone()).await;
        assert!(server.acme().get("/k").await.body == body, "{size}");
    }
}

#[tokio::test]
async fn concurrent_writers_never_mix_their_bytes() {
    let server = TestServer::start().await;
    let writers = (0..8_u64).map(|seed| {
        let client = server.acme();
        async move {
            for _ in 0..4 {
                assert_eq!(
                    client.put("/k", bytes(300_000, seed)).await.status,
                    StatusCode::CREATED
                );
                let read = client.get("/k").await.body;
                assert!((0..8).any(|seed| read == bytes(300_000, seed)), "a mixed body");
            }
        }
    });
    futures_util::future::join_all(writers).await;
}

#[tokio::test]
async fn delete_answers_204_once_and_404_after() {
    let server = TestServer::start().await;
    server.acme().put("/k", "x").await;
    assert_eq!(server.acme().delete("/k").await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.acme().delete("/k").await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
    server.acme().put("/k", "y").await;
    assert_eq!(server.acme().get("/k").await.text(), "y");
}

#[tokio::test]
async fn a_deleted_entry_stays_deleted_after_a_restart() {
    let mut server = TestServer::start().await;
    server.acme().put("/k", bytes(50_000, 1)).await;
    server.acme().delete("/k").await;
    server.restart().await;
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_entry_above_the_limit_is_413_with_both_numbers() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    let answer = server.acme().put("/k", bytes(1001, 1)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.header("content-type"), "application/json");
    let text: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&text["size"], &text["limit"]), (&1001.into(), &1000.into()));
    assert_eq!(
        server.acme().put("/k", bytes(1000, 1)).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn an_entry_above_the_disk_limit_is_413_and_costs_nobody_an_entry() {
    let server = TestServer::start_with(|config| config.disk.as_mut().unwrap().limit = 4 << 20).await;
    server.acme().put("/small", "x").await;
    let mut raw = server.acme().raw().await;
    raw.head(
        "PUT /huge HTTP/1.1",
        "Content-Length: 99000000000\r\nExpect: 100-continue\r\n",
    )
    .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 413 "));
    assert_eq!(server.acme().get("/small").await.text(), "x");
}

#[tokio::test]
async fn a_part_must_not_be_stored_as_the_whole() {
    let server = TestServer::start().await;
    let answer = server
        .acme()
        .put_with("/k", &[("content-range", "bytes 0-1/4")], "ab")
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn unknown_methods_are_405_with_allow() {
    let server = TestServer::start().await;
    for method in ["PATCH", "TRACE", "LOCK", "BREW"] {
        let answer = server.acme().send(method.parse().unwrap(), "/k", &[], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert!(answer.header("allow").contains("GET, HEAD, PUT, POST, DELETE"));
    }
}

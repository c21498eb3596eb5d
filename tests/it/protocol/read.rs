//! `GET` and `HEAD` (http-cache semantics: RFC 9110 sections 9.3.1 and 9.3.2).

use http::{Method, StatusCode};

use super::{SIZES, bytes};
use crate::support::server::TestServer;

#[tokio::test]
async fn every_size_comes_back_byte_for_byte() {
    let server = TestServer::start().await;
    let client = server.acme();
    for size in SIZES {
        let body = bytes(size, size as u64);
        let path = format!("/size/{size}");
        assert_eq!(
            client.put(&path, body.clone()).await.status,
            StatusCode::CREATED,
            "{size}"
        );
        for round in ["fresh", "again"] {
            let answer = client.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{size} {round}");
            assert_eq!(
                answer.header("content-length"),
                size.to_string(),
                "{size} {round}"
            );
            assert!(answer.body == body, "{size} {round}: bytes differ");
        }
    }
}

#[tokio::test]
async fn every_size_survives_a_restart() {
    let mut server = TestServer::start().await;
    for size in SIZES {
        server.acme().put(&format!("/size/{size}"), bytes(size, 7)).await;
    }
    server.restart().await;
    for size in SIZES {
        let answer = server.acme().get(&format!("/size/{size}")).await;
        assert!(
            answer.status == StatusCode::OK && answer.body == bytes(size, 7),
            "{size}"
        );
    }
}

#[tokio::test]
async fn a_read_has_the_headers_of_opaque_bytes() {
    let server = TestServer::start().await;
    server.acme().put("/k", "value").await;
    let answer = server
        .acme()
        .get_with("/k", &[("accept-encoding", "gzip, br, zstd")])
        .await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("content-encoding"), "");
    assert!(answer.header("etag").starts_with('"') && answer.header("etag").ends_with('"'));
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = TestServer::start().await;
    for size in [0, 5, 100_000] {
        server.acme().put("/k", bytes(size, 1)).await;
        let get = server.acme().get("/k").await;
        let head = server.acme().head("/k").await;
        assert_eq!(head.status, StatusCode::OK);
        assert!(head.body.is_empty());
        for name in [
            "content-length",
            "content-type",
            "etag",
            "accept-ranges",
            "cache-control",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name} of {size}");
        }
        assert_eq!(head.header("content-length"), size.to_string());
    }
}

#[tokio::test]
async fn a_miss_is_404_with_a_length() {
    let server = TestServer::start().await;
    for method in [Method::GET, Method::HEAD] {
        let answer = server.acme().send(method, "/nothing", &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_ne!(
            answer.header("content-length"),
            "",
            "Bazel takes a GET answer without a length for an error"
        );
    }
}

#[tokio::test]
async fn an_entry_that_was_removed_from_outside_is_a_miss() {
    let mut server = TestServer::start().await;
    server.acme().put("/k", bytes(100_000, 1)).await;
    server.stop().await;
    std::fs::remove_dir_all(server.dir().join("cache/entries")).unwrap();
    server.restart().await;
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.acme().put("/k", "new").await.status, StatusCode::CREATED);
    assert_eq!(server.acme().get("/k").await.text(), "new");
}

#[tokio::test]
async fn a_file_that_was_cut_short_while_it_was_served_becomes_a_miss() {
    let server = TestServer::start().await;
    let client = server.acme();
    client.put("/k", bytes(300_000, 1)).await;
    assert_eq!(client.get("/k").await.status, StatusCode::OK);
    let mut folders = vec![server.dir().join("cache/entries")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                std::fs::File::options()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_len(1000)
                    .unwrap();
            }
        }
    }
    // The first reader may be cut off; the damage is known from then on.
    let mut raw = client.raw().await;
    raw.head("GET /k HTTP/1.1", "Connection: close\r\n").await;
    raw.read_to_end().await;
    assert_eq!(client.get("/k").await.status, StatusCode::NOT_FOUND);
}

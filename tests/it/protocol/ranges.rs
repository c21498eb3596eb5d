//! `Range` and `If-Range` (RFC 9110, section 14).

use http::{Method, StatusCode};

use super::bytes;
use crate::support::server::TestServer;

/// A body in memory, one in the middle class and one that is sent as a file.
const SIZES: [usize; 3] = [1000, 40_000, 2_500_000];

#[tokio::test]
async fn parts_of_every_class_are_exact() {
    let server = TestServer::start().await;
    for size in SIZES {
        let body = bytes(size, 3);
        server.acme().put("/k", body.clone()).await;
        let (middle, last) = (size / 2, size - 1);
        for (range, part) in [
            ("bytes=0-0".to_owned(), 0..1),
            (format!("bytes={middle}-"), middle..size),
            (
                format!("bytes={}-{}", middle - 100, middle + 99),
                middle - 100..middle + 100,
            ),
            (format!("bytes={last}-99999999"), last..size),
            ("bytes=-10".to_owned(), size - 10..size),
            ("bytes=-99999999".to_owned(), 0..size),
        ] {
            let answer = server.acme().get_with("/k", &[("range", &range)]).await;
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range} of {size}");
            let span = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            assert_eq!(answer.header("content-range"), span);
            assert_eq!(answer.header("content-length"), part.len().to_string());
            assert!(answer.body == body[part], "{range} of {size}: bytes differ");
        }
    }
}

#[tokio::test]
async fn a_range_behind_the_end_is_416_with_the_size() {
    let server = TestServer::start().await;
    server.acme().put("/k", bytes(10, 1)).await;
    server.acme().put("/empty", "").await;
    for (path, range, size) in [
        ("/k", "bytes=10-", 10),
        ("/k", "bytes=-0", 10),
        ("/empty", "bytes=0-", 0),
    ] {
        let answer = server.acme().get_with(path, &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
    }
}

#[tokio::test]
async fn what_is_not_one_valid_range_is_ignored() {
    let server = TestServer::start().await;
    server.acme().put("/k", "0123456789").await;
    for range in ["bytes=0-1,3-4", "items=0-1", "bytes=5-2", "bytes=x", "nonsense"] {
        let answer = server.acme().get_with("/k", &[("range", range)]).await;
        assert_eq!(
            (answer.status, answer.text()),
            (StatusCode::OK, "0123456789"),
            "{range}"
        );
    }
    let twice = server
        .acme()
        .get_with("/k", &[("range", "bytes=0-1"), ("range", "bytes=2-3")])
        .await;
    assert_eq!(twice.status, StatusCode::OK);
    let head = server
        .acme()
        .send(Method::HEAD, "/k", &[("range", "bytes=0-1")], "")
        .await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (StatusCode::OK, "10")
    );
}

#[tokio::test]
async fn if_range_must_name_the_version_strongly() {
    let server = TestServer::start().await;
    server.acme().put("/k", "0123456789").await;
    let etag = server.acme().head("/k").await.header("etag").to_owned();
    let weak = format!("W/{etag}");
    for (condition, status) in [
        (etag.as_str(), StatusCode::PARTIAL_CONTENT),
        (weak.as_str(), StatusCode::OK),
        ("\"other\"", StatusCode::OK),
        ("Thu, 01 Jan 2026 00:00:00 GMT", StatusCode::OK),
    ] {
        let headers = [("range", "bytes=0-1"), ("if-range", condition)];
        assert_eq!(
            server.acme().get_with("/k", &headers).await.status,
            status,
            "{condition}"
        );
    }
}

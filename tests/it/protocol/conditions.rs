//! Conditional reads, writes and deletes (RFC 9110, section 13).

use http::{Method, StatusCode};

use super::bytes;
use crate::support::server::TestServer;

#[tokio::test]
async fn the_tag_comes_from_the_content() {
    let server = TestServer::start().await;
    let client = server.acme();
    let mut tags = Vec::new();
    for body in ["aaaa", "bbbb", "aaaa"] {
        client.put("/k", body).await;
        tags.push(client.head("/k").await.header("etag").to_owned());
    }
    assert_ne!(tags[0], tags[1], "same size within one second, other bytes");
    assert_eq!(tags[0], tags[2], "same bytes");
    let put = client.put("/k", "cccc").await;
    assert_eq!(put.header("etag"), client.head("/k").await.header("etag"));
}

#[tokio::test]
async fn if_none_match_answers_304_without_a_body() {
    let server = TestServer::start().await;
    for size in [4, 300_000] {
        server.acme().put("/k", bytes(size, 1)).await;
        let etag = server.acme().head("/k").await.header("etag").to_owned();
        for value in [
            etag.clone(),
            format!("W/{etag}"),
            format!("\"x\", {etag}"),
            "*".to_owned(),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let answer = server
                    .acme()
                    .send(method, "/k", &[("if-none-match", &value)], "")
                    .await;
                assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{value}");
                assert!(answer.body.is_empty());
                assert_eq!(answer.header("etag"), etag);
            }
        }
        let other = server.acme().get_with("/k", &[("if-none-match", "\"x\"")]).await;
        assert_eq!((other.status, other.body.len()), (StatusCode::OK, size));
    }
}

#[tokio::test]
async fn if_match_on_a_read_is_412_for_another_version() {
    let server = TestServer::start().await;
    server.acme().put("/k", "x").await;
    let answer = server.acme().get_with("/k", &[("if-match", "\"other\"")]).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(
        server.acme().get_with("/k", &[("if-match", "*")]).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn first_writer_wins_with_if_none_match_star() {
    let server = TestServer::start().await;
    let writers = (0..10_u64).map(|seed| {
        let client = server.acme();
        async move {
            client
                .put_with("/k", &[("if-none-match", "*")], bytes(100_000, seed))
                .await
                .status
        }
    });
    let statuses = futures_util::future::join_all(writers).await;
    let won = statuses
        .iter()
        .filter(|status| **status == StatusCode::CREATED)
        .count();
    let lost = statuses
        .iter()
        .filter(|status| **status == StatusCode::PRECONDITION_FAILED)
        .count();
    assert_eq!((won, lost), (1, 9), "{statuses:?}");
}

#[tokio::test]
async fn if_match_guards_an_overwrite_and_a_delete() {
    let server = TestServer::start().await;
    let client = server.acme();
    assert_eq!(
        client.put_with("/k", &[("if-match", "*")], "x").await.status,
        StatusCode::PRECONDITION_FAILED
    );
    client.put("/k", "one").await;
    let etag = client.head("/k").await.header("etag").to_owned();
    assert_eq!(
        client.put_with("/k", &[("if-match", &etag)], "two").await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        client
            .put_with("/k", &[("if-match", &etag)], "three")
            .await
            .status,
        StatusCode::PRECONDITION_FAILED
    );
    let delete = client
        .send(Method::DELETE, "/k", &[("if-match", &etag)], "")
        .await;
    assert_eq!(delete.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(client.get("/k").await.text(), "two");
}

#[tokio::test]
async fn a_failed_precondition_is_told_before_100_continue() {
    let server = TestServer::start().await;
    server.acme().put("/k", "x").await;
    let mut raw = server.acme().raw().await;
    raw.head(
        "PUT /k HTTP/1.1",
        "If-None-Match: *\r\nContent-Length: 5\r\nExpect: 100-continue\r\n",
    )
    .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 412 "));
}

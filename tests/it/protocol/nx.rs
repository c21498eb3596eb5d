//! Nx fails a user's run for every status that it does not know.

use http::StatusCode;

use super::bytes;
use crate::support::server::TestServer;

#[tokio::test]
async fn nx_gets_its_own_status_codes() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    let nx = server.acme();
    assert_eq!(nx.get("/v1/cache/123").await.status, StatusCode::NOT_FOUND);
    assert_eq!(nx.put("/v1/cache/123", "tar").await.status, StatusCode::OK);
    assert_eq!(
        nx.put("/v1/cache/123", "tar").await.status,
        StatusCode::OK,
        "the same key again"
    );
    assert_eq!(nx.get("/v1/cache/123").await.text(), "tar");
    assert_eq!(
        nx.put("/v1/cache/456", bytes(1001, 1)).await.status,
        StatusCode::FORBIDDEN,
        "too large"
    );
    assert_eq!(nx.get("/v1/cache/456").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        server.anonymous().get("/v1/cache/123").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        server.tenant("globex/site").get("/v1/cache/123").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_write_with_a_condition_never_overwrites() {
    let server = TestServer::start().await;
    let nx = server.acme();
    let absent = [("if-none-match", "*")];
    assert_eq!(nx.put_with("/v1/cache/1", &absent, "first").await.status, 200);
    // The status that means "already there" to Nx.
    assert_eq!(nx.put_with("/v1/cache/1", &absent, "second").await.status, 409);
    let other = [("if-match", "\"other\"")];
    assert_eq!(nx.put_with("/v1/cache/1", &other, "third").await.status, 409);
    assert_eq!(nx.get("/v1/cache/1").await.text(), "first");
}

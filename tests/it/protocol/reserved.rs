//! Paths that belong to other protocols are no keys.

use http::StatusCode;

use crate::support::server::TestServer;

#[tokio::test]
async fn reserved_prefixes_serve_and_store_nothing() {
    let server = TestServer::start().await;
    for path in [
        "/_chacha",
        "/_chacha/",
        "/_chacha/other/x",
        "/%5fchacha/blobs/x",
        "/_chacha%2Fother",
        "/_apis/artifactcache/nothing",
        "/_apis/artifactcache",
        "/_apis%2Fartifactcache/x",
        "/twirp/other/Method",
        "/twirp",
    ] {
        assert_eq!(
            server.acme().put(path, "x").await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
        assert_eq!(
            server.acme().get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn prefixes_match_whole_segments() {
    let server = TestServer::start().await;
    for path in [
        "/_apis/artifactcachex",
        "/_apis/other",
        "/_chachax/k",
        "/twirpy/other/Method",
        "/x/_chacha/k",
    ] {
        assert_eq!(
            server.acme().put(path, "x").await.status,
            StatusCode::CREATED,
            "{path}"
        );
    }
}

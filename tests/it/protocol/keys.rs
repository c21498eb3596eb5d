//! Keys as paths (RFC 9112, section 3.2; decoded exactly once).

use http::StatusCode;

use crate::support::server::TestServer;

#[tokio::test]
async fn paths_that_differ_are_different_keys() {
    let server = TestServer::start().await;
    let paths = [
        "/a",
        "/a/",
        "//a",
        "/a/b",
        "/a//b",
        "/A",
        "/a%252Fb",
        "/a+b",
        "/a%20b",
        "/a%2Bb%2Bc",
        "/a;b=c",
        "/health",
        "/metrics",
        "/status",
        "/%ff",
        "/%C3%A9",
        "/e%CC%81",
        "/ac/0000",
        "/_apisX/k",
        "/twirpy/k",
        "/v1/cache",
        "/v1/cache/a/b",
        "/v8/artifacts/a/b",
        "/cache/key",
        "/.sccache_check",
        "/...",
        "/a..b",
    ];
    for path in paths {
        assert_eq!(
            server.acme().put(path, path).await.status,
            StatusCode::CREATED,
            "{path}"
        );
    }
    for path in paths {
        assert_eq!(server.acme().get(path).await.text(), path);
    }
    assert_eq!(
        server.acme().get("/a%2Fb").await.text(),
        "/a/b",
        "an encoded slash is a slash"
    );
    assert_eq!(server.acme().get("/%61").await.text(), "/a");
}

#[tokio::test]
async fn a_key_has_at_most_1024_bytes() {
    let server = TestServer::start().await;
    for length in [255, 256, 1024] {
        let path = format!("/{}", "k".repeat(length));
        assert_eq!(
            server.acme().put(&path, "x").await.status,
            StatusCode::CREATED,
            "{length}"
        );
        assert_eq!(server.acme().get(&path).await.text(), "x");
    }
    for length in [1025, 4096] {
        let path = format!("/{}", "k".repeat(length));
        assert_eq!(
            server.acme().put(&path, "x").await.status,
            StatusCode::URI_TOO_LONG,
            "{length}"
        );
        assert_eq!(server.acme().get(&path).await.status, StatusCode::URI_TOO_LONG);
    }
    let encoded = format!("/{}", "%41".repeat(1024));
    assert_eq!(
        server.acme().put(&encoded, "x").await.status,
        StatusCode::CREATED,
        "counted after decoding"
    );
}

#[tokio::test]
async fn ambiguous_targets_are_400_and_store_nothing() {
    let server = TestServer::start().await;
    for target in [
        "/",
        "/..",
        "/a/../b",
        "/./a",
        "/%2e%2e/a",
        "/a%2f..%2fb",
        "/%00",
        "/a%0ab",
        "/%zz",
        "/%",
        "/a%5c..%5cb",
    ] {
        let mut raw = server.acme().raw().await;
        raw.head(&format!("PUT {target} HTTP/1.1"), "Content-Length: 0\r\n")
            .await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{target}: {head}");
    }
    for line in ["OPTIONS * HTTP/1.1", "GET k HTTP/1.1"] {
        let mut raw = server.acme().raw().await;
        raw.head(line, "").await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{line}: {head}");
    }
}

#[tokio::test]
async fn a_target_that_is_a_url_of_this_server_is_its_path() {
    let server = TestServer::start_with(|config| {
        config.base_url = Some("https://cache.example".parse().unwrap());
    })
    .await;
    server.acme().put("/k", "body").await;
    let listener = format!("http://{}", server.address());
    for base in [listener.as_str(), "https://cache.example", "http://cache.example"] {
        for version in ["1.1", "1.0"] {
            let mut raw = server.acme().raw().await;
            raw.head(&format!("GET {base}/k HTTP/{version}"), "").await;
            let head = raw.read_head().await;
            assert!(head.contains(" 200 "), "{base}: {head}");
            assert_eq!(raw.read_exact(4).await, b"body");
        }
        let mut raw = server.acme().raw().await;
        raw.head(
            &format!("PUT {base}/stored/{} HTTP/1.1", base.len()),
            "Content-Length: 1\r\n",
        )
        .await;
        raw.write(b"x").await;
        assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "), "{base}");
        let stored = server.acme().get(&format!("/stored/{}", base.len())).await;
        assert_eq!(stored.text(), "x");
    }
}

#[tokio::test]
async fn a_target_that_is_a_url_of_another_server_is_421() {
    let server = TestServer::start().await;
    server.acme().put("/k", "body").await;
    let port = server.address().port();
    for target in [
        "http://other.test/k".to_owned(),
        format!("http://other.test:{port}/k"),
        "http://127.0.0.1/k".to_owned(),
        format!("http://me@127.0.0.1:{port}/k"),
        format!("ftp://127.0.0.1:{port}/k"),
    ] {
        let mut raw = server.acme().raw().await;
        raw.head(&format!("GET {target} HTTP/1.1"), "").await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 421 "), "{target}: {head}");
    }
    let mut raw = server.acme().raw().await;
    raw.head(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1"), "").await;
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

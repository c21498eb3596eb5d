//! Bodies on the wire: cut off, chunked, refused, waiting for `100 Continue` (RFC 9112).

use http::StatusCode;

use super::bytes;
use crate::support::client::within;
use crate::support::server::TestServer;

/// Waits until no upload holds room any more: the server has noticed that its clients are gone.
async fn settled(server: &TestServer) {
    within(async {
        loop {
            let metrics = server.ops().get("/metrics").await;
            if metrics.text().contains("chacha_disk_reserved_bytes 0\n") {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_stops_early_leaves_nothing() {
    let server = TestServer::start().await;
    for (size, sent) in [(10, 4), (100_000, 99_999), (3_000_000, 2_000_000), (5, 0)] {
        let mut raw = server.acme().raw().await;
        raw.head("PUT /cut HTTP/1.1", &format!("Content-Length: {size}\r\n"))
            .await;
        raw.write(&bytes(sent, 1)).await;
        drop(raw);
        settled(&server).await;
        assert_eq!(
            server.acme().get("/cut").await.status,
            StatusCode::NOT_FOUND,
            "{sent} of {size}"
        );
    }
    let left = std::fs::read_dir(server.dir().join("cache/tmp")).unwrap().count();
    assert_eq!(left, 0, "temporary files");
}

#[tokio::test]
async fn a_cut_off_overwrite_keeps_the_old_entry() {
    let server = TestServer::start().await;
    server.acme().put("/k", "old").await;
    let mut raw = server.acme().raw().await;
    raw.head("PUT /k HTTP/1.1", "Transfer-Encoding: chunked\r\n")
        .await;
    raw.write(b"3\r\nnew\r\n").await;
    raw.finish().await;
    raw.read_to_end().await;
    settled(&server).await;
    assert_eq!(server.acme().get("/k").await.text(), "old");
}

#[tokio::test]
async fn a_chunked_body_is_whole_with_its_last_chunk_only() {
    let server = TestServer::start().await;
    let mut raw = server.acme().raw().await;
    raw.head("PUT /k HTTP/1.1", "Transfer-Encoding: chunked\r\n")
        .await;
    for chunk in ["5\r\nhello\r\n", "1\r\n \r\n", "5\r\nworld\r\n"] {
        raw.write(chunk.as_bytes()).await;
        assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
    }
    raw.write(b"0\r\n\r\n").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "));
    assert_eq!(server.acme().get("/k").await.text(), "hello world");
}

#[tokio::test]
async fn a_chunked_body_above_the_limit_is_refused_on_the_way() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    let mut raw = server.acme().raw().await;
    raw.head("PUT /k HTTP/1.1", "Transfer-Encoding: chunked\r\n")
        .await;
    for _ in 0..3 {
        raw.write(b"200\r\n").await;
        raw.write(&[b'x'; 512]).await;
        raw.write(b"\r\n").await;
    }
    assert!(raw.read_head().await.starts_with("HTTP/1.1 413 "));
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn continue_is_sent_only_after_all_checks() {
    let server = TestServer::start().await;
    let expect = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let mut raw = server.acme().raw().await;
    raw.head("PUT /k HTTP/1.1", expect).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    raw.write(b"hello").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "));

    let mut raw = server.anonymous().with_token("junk").raw().await;
    raw.head("PUT /k HTTP/1.1", expect).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_refused_upload_can_be_read_by_a_client_that_sends_first() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    for (client, status) in [(server.acme(), "413"), (server.anonymous(), "401")] {
        let mut raw = client.raw().await;
        raw.head("PUT /k HTTP/1.1", "Content-Length: 4000000\r\n").await;
        assert!(
            raw.try_write(&vec![b'x'; 4_000_000]).await,
            "{status}: reset while sending"
        );
        let head = raw.read_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_small_refused_upload() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(10)).await;
    let mut raw = server.acme().raw().await;
    raw.head("PUT /k HTTP/1.1", "Content-Length: 20\r\n").await;
    raw.write(&[b'x'; 20]).await;
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    raw.read_exact(length).await;
    raw.head("GET /k HTTP/1.1", "").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_client_that_stops_sending_gets_408() {
    let server = TestServer::start_with(|config| {
        config.limits.body_idle_timeout = std::time::Duration::from_millis(100);
    })
    .await;
    let mut raw = server.acme().raw().await;
    raw.head("PUT /k HTTP/1.1", "Content-Length: 5\r\n").await;
    raw.write(b"he").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 408 "));
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let bodies = [
        bytes(100_000, 1),
        bytes(10, 2),
        bytes(700_000, 3),
        bytes(20_000, 4),
    ];
    for (nth, body) in bodies.iter().enumerate() {
        server.acme().put(&format!("/{nth}"), body.clone()).await;
    }
    let mut raw = server.acme().raw().await;
    for nth in 0..bodies.len() {
        raw.head(&format!("GET /{nth} HTTP/1.1"), "").await;
    }
    for body in &bodies {
        assert!(raw.read_head().await.starts_with("HTTP/1.1 200 "));
        assert!(raw.read_exact(body.len()).await == *body);
    }
}

#[tokio::test]
async fn http_1_0_gets_a_whole_answer_and_a_closed_connection() {
    let server = TestServer::start().await;
    server.acme().put("/k", bytes(300_000, 1)).await;
    let mut raw = server.acme().raw().await;
    raw.head("GET /k HTTP/1.0", "").await;
    raw.read_head().await;
    let (body, closed) = raw.read_to_end().await;
    assert!(closed && body == bytes(300_000, 1));
}

#[tokio::test]
async fn prior_knowledge_http2_reads_the_same_bytes() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let server = TestServer::start().await;
    let token = server.issuer.token(serde_json::json!({}));
    server
        .anonymous()
        .with_token(&token)
        .put("/k", bytes(1_500_000, 9))
        .await;
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    for (method, expected) in [("HEAD", bytes(0, 0)), ("GET", bytes(1_500_000, 9))] {
        let request = http::Request::builder()
            .method(method)
            .uri("http://cache.test/k")
            .header("authorization", format!("Bearer {token}"))
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-length"], "1500000", "{method}");
        let body = within(response.into_body().collect()).await.unwrap().to_bytes();
        assert!(body == expected, "{method}");
    }
}

#[tokio::test]
async fn a_refusal_after_100_continue_can_be_read_too() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    let mut raw = server.acme().raw().await;
    raw.head(
        "PUT /k HTTP/1.1",
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
    )
    .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for nth in 0..64 {
        assert!(raw.try_write(&chunk).await, "reset while sending chunk {nth}");
    }
    assert!(raw.read_head().await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_refusal_that_ends_the_connection_says_so() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    for headers in [
        "Content-Length: 5000\r\nExpect: 100-continue\r\n",
        "Content-Length: 50000000\r\n",
    ] {
        let mut raw = server.acme().raw().await;
        raw.head("PUT /k HTTP/1.1", headers).await;
        let head = raw.read_head().await.to_lowercase();
        assert!(
            head.starts_with("http/1.1 413 ") && head.contains("connection: close"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn unknown_codings_and_doubtful_hosts_are_refused() {
    let server = TestServer::start().await;
    for coding in [
        "gzip, chunked",
        "chunked, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
    ] {
        let mut raw = server.acme().raw().await;
        raw.head("PUT /k HTTP/1.1", &format!("Transfer-Encoding: {coding}\r\n"))
            .await;
        raw.try_write(b"1\r\nx\r\n0\r\n\r\n").await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{coding}: {head}");
    }
    let mut raw = server.acme().raw().await;
    raw.head("GET /k HTTP/1.1", "Host: other.test\r\n").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 400 "));
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_write_without_any_length_is_411_and_stores_nothing() {
    let server = TestServer::start().await;
    let turbo = "/v8/artifacts/0123456789abcdef?slug=t";
    for target in ["PUT /k", "POST /k", &format!("PUT {turbo}"), "PUT /v1/cache/abc"] {
        for version in ["1.0", "1.1"] {
            let mut raw = server.acme().raw().await;
            raw.head(&format!("{target} HTTP/{version}"), "").await;
            let head = raw.read_head().await;
            assert!(head.contains(" 411 "), "{target}: {head}");
            let path = target.split_once(' ').unwrap().1;
            assert_eq!(
                server.acme().get(path).await.status,
                StatusCode::NOT_FOUND,
                "{target}"
            );
        }
    }
}

#[tokio::test]
async fn an_empty_body_that_is_said_to_be_empty_is_stored() {
    let server = TestServer::start().await;
    for (version, headers, body) in [
        ("1.0", "Content-Length: 0\r\n", ""),
        ("1.1", "Content-Length: 0\r\n", ""),
        ("1.1", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ] {
        let mut raw = server.acme().raw().await;
        raw.head(
            &format!("PUT /{}{} HTTP/{version}", version, headers.len()),
            headers,
        )
        .await;
        raw.write(body.as_bytes()).await;
        let head = raw.read_head().await;
        assert!(head.contains(" 201 "), "{headers}: {head}");
        let stored = server.acme().get(&format!("/{}{}", version, headers.len())).await;
        assert_eq!((stored.status, stored.text()), (StatusCode::OK, ""));
    }
}

#[tokio::test]
async fn an_empty_body_of_http2_needs_no_length() {
    use http_body_util::Empty;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let server = TestServer::start().await;
    let token = server.issuer.token(serde_json::json!({}));
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::put("http://cache.test/k")
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn bodies_that_clients_stored_are_never_guessed_at() {
    let server = TestServer::start().await;
    let turbo = "/v8/artifacts/0123456789abcdef?slug=t";
    for path in ["/k", turbo, "/v1/cache/abc"] {
        server.acme().put(path, "<script>alert(1)</script>").await;
        for headers in [&[][..], &[("range", "bytes=0-3")]] {
            let answer = server.acme().get_with(path, headers).await;
            assert!(answer.status.is_success(), "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(
                answer.header("content-type"),
                "application/octet-stream",
                "{path}"
            );
        }
        assert_eq!(
            server.acme().head(path).await.header("x-content-type-options"),
            "nosniff"
        );
    }
}

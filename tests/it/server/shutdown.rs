//! Draining.

use std::time::Duration;

use http::StatusCode;

use crate::protocol::bytes;
use crate::support::client::within;
use crate::support::server::TestServer;

#[tokio::test]
async fn a_running_upload_ends_before_the_server_does() {
    let mut server = TestServer::start().await;
    let mut raw = server.acme().raw().await;
    raw.head(
        "PUT /k HTTP/1.1",
        "Content-Length: 10\r\nExpect: 100-continue\r\n",
    )
    .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    let address = server.address();
    let stopping = tokio::spawn(server.take().stop());
    // The listener is closed before the drain begins to wait.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    raw.write(&bytes(10, 1)).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "));
    stopping.await.unwrap();
    server.restart().await;
    assert!(server.acme().get("/k").await.body == bytes(10, 1));
}

#[tokio::test]
async fn a_running_download_ends_before_the_server_does() {
    // Far more than the buffers of two sockets hold.
    const SIZE: usize = 40 << 20;
    let mut server = TestServer::start().await;
    server.acme().put("/k", bytes(SIZE, 1)).await;
    let mut raw = server.acme().raw().await;
    raw.head("GET /k HTTP/1.1", "").await;
    raw.read_head().await;
    let address = server.address();
    let stopping = tokio::spawn(server.take().stop());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    // Some looks at the connections later, it is still there.
    tokio::time::interval_at(
        tokio::time::Instant::now() + Duration::from_millis(50),
        Duration::from_secs(1),
    )
    .tick()
    .await;
    let (body, closed) = raw.read_to_end().await;
    assert!(closed, "{} bytes, then a reset", body.len());
    assert!(body == bytes(SIZE, 1), "{} bytes", body.len());
    within(stopping).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_server() {
    let mut server = TestServer::start().await;
    let mut raw = server.acme().raw().await;
    raw.head("GET /k HTTP/1.1", "").await;
    raw.read_head().await;
    server.stop().await;
    let (_, closed) = raw.read_to_end().await;
    assert!(closed);
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_after_the_drain_timeout() {
    let mut server =
        TestServer::start_with(|config| config.limits.drain_timeout = Duration::from_millis(50)).await;
    let mut raw = server.acme().raw().await;
    raw.head(
        "PUT /k HTTP/1.1",
        "Content-Length: 10\r\nExpect: 100-continue\r\n",
    )
    .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    raw.write(b"half").await;
    within(server.restart()).await;
    raw.read_to_end().await;
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
    let left = std::fs::read_dir(server.dir().join("cache/tmp")).unwrap().count();
    assert_eq!(left, 0, "temporary files");
}

#[tokio::test]
async fn what_waits_for_the_window_of_http2_is_sent_before_the_end() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let mut server = TestServer::start().await;
    let token = server.issuer.token(serde_json::json!({}));
    server
        .anonymous()
        .with_token(&token)
        .put("/k", bytes(200_000, 9))
        .await;
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://cache.test/k")
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    let address = server.address();
    let stopping = tokio::spawn(server.take().stop());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    tokio::time::interval_at(
        tokio::time::Instant::now() + Duration::from_millis(50),
        Duration::from_secs(1),
    )
    .tick()
    .await;
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    assert!(body == bytes(200_000, 9));
    within(stopping).await.unwrap();
}

#[tokio::test]
async fn a_stalled_client_of_the_ops_listener_does_not_hold_the_end() {
    let mut server = TestServer::start().await;
    let mut stalled = server.ops().raw().await;
    stalled.write(b"GET /met").await;
    // The half request has arrived when a whole one behind it is answered.
    server.ops().get("/healthz").await;
    within(server.stop()).await;
}

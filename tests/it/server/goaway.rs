//! How HTTP/2 connections end at a drain.

use crate::protocol::bytes;
use crate::support::client::within;
use crate::support::http2::{DATA, END_STREAM, GOAWAY, HEADERS, Http2, SETTINGS, WINDOW_UPDATE};
use crate::support::server::TestServer;

/// Connects and sends `GET /k` as stream 1.
async fn get(server: &TestServer, token: &str) -> Http2 {
    let mut client = Http2::connect(server.address(), &[]).await;
    client.get(1, "/k", token).await;
    client
}

#[tokio::test]
async fn an_idle_http2_connection_ends_with_goaway() {
    let mut server = TestServer::start().await;
    let mut client = get(&server, "nobody").await;
    client
        .until(|frame| frame.flags & END_STREAM != 0 && frame.kind <= HEADERS)
        .await;
    let stopping = tokio::spawn(server.take().stop());
    let mut last = None;
    while let Some(frame) = client.next().await {
        last = (frame.kind == GOAWAY).then(|| frame.goaway()).or(last);
    }
    assert_eq!(
        last,
        Some((1, 0)),
        "the request was looked at, and nothing was wrong"
    );
    within(stopping).await.unwrap();
}

#[tokio::test]
async fn a_running_http2_request_ends_after_goaway() {
    const SIZE: usize = 200_000;
    const WINDOW: usize = 65_535;
    let mut server = TestServer::start().await;
    let token = server.issuer.token(serde_json::json!({}));
    server
        .anonymous()
        .with_token(&token)
        .put("/k", bytes(SIZE, 9))
        .await;
    let mut client = get(&server, &token).await;
    let mut body = Vec::new();
    while body.len() < WINDOW {
        body.extend(client.until(|frame| frame.kind == DATA).await.payload);
    }
    let stopping = tokio::spawn(server.take().stop());
    // No window is left: nothing but the news of the end can come.
    let frame = client.until(|frame| frame.kind != SETTINGS).await;
    assert_eq!((frame.kind, frame.goaway().1), (GOAWAY, 0), "{frame:?}");
    for stream in [0, 1] {
        client
            .write(WINDOW_UPDATE, 0, stream, &(SIZE as u32).to_be_bytes())
            .await;
    }
    while let Some(frame) = client.next().await {
        body.extend(
            Some(frame)
                .filter(|frame| frame.kind == DATA)
                .into_iter()
                .flat_map(|frame| frame.payload),
        );
    }
    assert!(body == bytes(SIZE, 9), "{} bytes", body.len());
    within(stopping).await.unwrap();
}

#[tokio::test]
async fn an_http2_client_that_does_not_answer_goaway_does_not_hold_the_server() {
    let mut server = TestServer::start().await;
    let mut client = get(&server, "nobody").await;
    client
        .until(|frame| frame.flags & END_STREAM != 0 && frame.kind <= HEADERS)
        .await;
    let begin = std::time::Instant::now();
    within(server.stop()).await;
    assert!(begin.elapsed() < server.config().limits.drain_timeout);
}

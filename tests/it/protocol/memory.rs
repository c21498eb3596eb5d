//! `limits.memory`: what clients send and never end takes no more than that, and leaves room for others.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::gha::{block_list, create, finalize, json_of, save, with};
use crate::protocol::bytes;
use crate::support::client::{Client, Raw, within};
use crate::support::server::TestServer;

const MIB: usize = 1 << 20;
/// What requests may hold, and what one of two tenants may hold.
const REQUESTS: u64 = 31 * MIB as u64;

async fn start() -> TestServer {
    TestServer::start_with(|config| {
        config.limits.memory = Some(REQUESTS + MIB as u64);
        config.disk.as_mut().unwrap().memory = MIB as u64;
    })
    .await
}

async fn metric(server: &TestServer, name: &str) -> u64 {
    let metrics = server.ops().get("/metrics").await;
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&format!("chacha_memory_{name} ")));
    line.unwrap_or_else(|| panic!("no metric {name}"))
        .parse()
        .unwrap()
}

/// Connections that send a head and then `sent` bytes of a body of `length` bytes, and keep silent.
async fn stalled(client: &Client, line: &str, (sent, length): (usize, usize), count: usize) -> Vec<Raw> {
    let body = vec![b' '; sent];
    let mut all = Vec::new();
    for _ in 0..count {
        let mut raw = client.raw().await;
        raw.head(line, &format!("Content-Length: {length}\r\n")).await;
        assert!(raw.try_write(&body).await);
        all.push(raw);
    }
    all
}

/// A tenant that has sent all this holds its bound at most, and another one is served.
async fn check_bounded(server: &TestServer, refused: &'static str) {
    until_counted(server, refused).await;
    assert_eq!(metric(server, "limit_bytes").await, REQUESTS);
    let used = metric(server, "used_bytes").await;
    assert!(used <= REQUESTS / 2, "{used}");
    let quiet = server.tenant("quiet/app");
    save(&quiet, "small", "archive").await;
    assert_eq!(quiet.put("/large", bytes(3 * MIB, 1)).await.status, 201);
    assert!(quiet.get("/large").await.body == bytes(3 * MIB, 1));
    let list: String = (0..1000).map(|nth| format!("\"{nth}\",")).collect();
    let list = format!("{{\"hashes\":[{list}\"x\"]}}");
    let query = quiet.send(http::Method::POST, "/v8/artifacts", &[], list).await;
    assert_eq!(query.status, StatusCode::OK);
}

async fn until_counted(server: &TestServer, name: &str) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    within(async {
        while metric(server, name).await == 0 {
            looks.tick().await;
        }
    })
    .await;
}

/// All that is left is given back.
async fn check_given_back(server: &TestServer) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    within(async {
        while metric(server, "used_bytes").await > 0 {
            looks.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn lists_of_blocks_that_never_end_leave_room_for_others() {
    let server = start().await;
    let url = with(&create(&server.acme(), "k").await, "comp=blocklist");
    let line = format!("PUT {url} HTTP/1.1");
    let flood = stalled(&server.anonymous(), &line, (8 * MIB - 1, 8 * MIB), 12).await;
    check_bounded(&server, "refused_total").await;
    // The link says whose memory counts.
    let refused = server.anonymous().put(&url, vec![b' '; 8 * MIB]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("x-ms-error-code"), "ServerBusy");
    assert_eq!(refused.header("retry-after"), "2");
    drop(flood);
    check_given_back(&server).await;
    let empty = block_list(&[]);
    assert_eq!(server.anonymous().put(&url, empty).await.status, 201);
    assert_eq!(json_of(&finalize(&server.acme(), "k", 0).await)["ok"], true);
    check_given_back(&server).await;
}

#[tokio::test]
async fn lists_of_blocks_on_the_streams_of_one_connection_leave_room_for_others() {
    let server = start().await;
    let url = with(&create(&server.acme(), "k").await, "comp=blocklist");
    let socket = TcpStream::connect(server.address()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    let mut streams = Vec::new();
    for _ in 0..50 {
        let pieces = stream::iter(vec![piece.clone(); 127]).chain(stream::pending());
        let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let request = http::Request::put(format!("http://cache.test{url}"))
            .body(StreamBody::new(frames))
            .unwrap();
        streams.push(sender.send_request(request));
    }
    let mut first = futures_util::future::select_all(streams.into_iter().map(Box::pin));
    let (answer, ..) = within(&mut first).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "2");
    check_bounded(&server, "refused_total").await;
    connection.abort();
    check_given_back(&server).await;
}

#[tokio::test]
async fn queries_that_never_end_leave_room_for_others() {
    let server = start().await;
    let line = "POST /v8/artifacts?slug=t HTTP/1.1";
    let flood = stalled(&server.acme(), line, (MIB - 1, MIB), 40).await;
    check_bounded(&server, "refused_total").await;
    drop(flood);
    check_given_back(&server).await;
}

#[tokio::test]
async fn uploads_that_stall_go_to_the_disk_when_they_would_take_too_much_memory() {
    const LENGTH: usize = 300_000;
    const SENT: usize = 250_000;
    let server = start().await;
    let mut flood = Vec::new();
    for nth in 0..100 {
        let mut raw = server.acme().raw().await;
        let line = format!("PUT /{nth} HTTP/1.1");
        raw.head(&line, &format!("Content-Length: {LENGTH}\r\n")).await;
        raw.write(&bytes(LENGTH, nth)[..SENT]).await;
        flood.push(raw);
    }
    check_bounded(&server, "early_writes_total").await;
    assert_eq!(metric(&server, "refused_total").await, 0);
    // Nothing is lost by that.
    for (nth, mut raw) in (0..).zip(flood) {
        raw.write(&bytes(LENGTH, nth)[SENT..]).await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
        let stored = server.acme().get(&format!("/{nth}")).await;
        assert!(stored.body == bytes(LENGTH, nth), "{nth}");
    }
    check_given_back(&server).await;
}

#[tokio::test]
async fn blocks_that_stall_go_to_the_disk_when_they_would_take_too_much_memory() {
    const LENGTH: usize = 300_000;
    const SENT: usize = 250_000;
    let server = start().await;
    let url = create(&server.acme(), "k").await;
    let ids: Vec<String> = (0..100).map(|nth| format!("AA{nth:02}")).collect();
    let mut flood = Vec::new();
    for (nth, id) in (0..).zip(&ids) {
        let mut raw = server.anonymous().raw().await;
        let line = format!("PUT {} HTTP/1.1", with(&url, &format!("comp=block&blockid={id}")));
        raw.head(&line, &format!("Content-Length: {LENGTH}\r\n")).await;
        raw.write(&bytes(LENGTH, nth)[..SENT]).await;
        flood.push(raw);
    }
    check_bounded(&server, "early_writes_total").await;
    for (nth, mut raw) in (0..).zip(flood) {
        raw.write(&bytes(LENGTH, nth)[SENT..]).await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
    }
    let list = with(&url, "comp=blocklist");
    let list = server.anonymous().put(&list, block_list(&ids)).await;
    assert_eq!(list.status, StatusCode::CREATED);
    let whole = 100 * LENGTH;
    assert_eq!(json_of(&finalize(&server.acme(), "k", whole).await)["ok"], true);
    let link = super::gha::link(&server.acme(), "k").await;
    let stored = server.anonymous().get(&link).await.body;
    assert!((0..100).all(|nth| stored[nth * LENGTH..][..LENGTH] == bytes(LENGTH, nth as u64)));
    check_given_back(&server).await;
}

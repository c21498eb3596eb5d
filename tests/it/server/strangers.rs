//! Strangers that hold connections: whoever has a token is answered all the same.

use std::time::{Duration, Instant};

use chacha::config::{Config, TrustedProxies};
use http::StatusCode;

use crate::protocol::bytes;
use crate::support::client::{Raw, within};
use crate::support::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, Http2, INITIAL_WINDOW_SIZE, WINDOW_UPDATE,
};
use crate::support::server::TestServer;
use crate::support::wait::until_true;

/// Places of the servers here.
const PLACES: usize = 16;
/// A client with a token is answered in this time.
const PROMPTLY: Duration = Duration::from_secs(1);

async fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::start_with(|config| {
        config.limits.max_connections = PLACES;
        // Nothing but another client ends a connection in the time of a test.
        config.limits.keep_alive = Duration::from_secs(3600);
        config.limits.body_idle_timeout = Duration::from_secs(3600);
        change(config);
    })
    .await;
    assert_eq!(server.acme().put("/k", "kept").await.status, StatusCode::CREATED);
    server
}

/// The value of a metric; 0 if it was never written.
async fn metric(server: &TestServer, name: &str) -> u64 {
    let metrics = server.ops().get("/metrics").await;
    let found = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or(0)
}

/// As many connections as there are places, and more, on each of which `attack` has been sent.
async fn strangers(server: &TestServer, attack: &[u8]) -> Vec<Raw> {
    let mut held = Vec::new();
    for _ in 0..2 * PLACES {
        let mut raw = server.anonymous().raw().await;
        // One that has given way takes nothing.
        raw.try_write(attack).await;
        held.push(raw);
    }
    held
}

/// Whoever has a token is answered promptly, on one connection after the other. A machine that is busy otherwise gets
/// several tries.
async fn answers_promptly(server: &TestServer) {
    let acme = server.acme();
    for _ in 0..10 {
        let begin = Instant::now();
        assert_eq!(acme.get("/k").await.text(), "kept");
        if begin.elapsed() < PROMPTLY {
            return;
        }
    }
    panic!("every answer took more than {PROMPTLY:?}");
}

/// While strangers hold all places with connections that have sent `attack`.
async fn check(attack: &[u8]) {
    let server = server(|_| {}).await;
    let _held = strangers(&server, attack).await;
    for _ in 0..PLACES {
        answers_promptly(&server).await;
    }
    assert!(metric(&server, "chacha_connections_given_way_total{reason=\"full\"}").await > 0);
}

#[tokio::test]
async fn silent_connections_give_way() {
    check(b"").await;
}

#[tokio::test]
async fn connections_with_half_a_head_give_way() {
    check(b"GET /k HTTP/1.1\r\nHost: cache.test\r\nAuthorization: Bearer ").await;
}

#[tokio::test]
async fn connections_with_half_a_preface_of_http2_give_way() {
    check(b"PRI * HTTP/2.0\r\n").await;
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
}

/// What was refused, and sends its body all the same.
#[tokio::test]
async fn bodies_of_strangers_that_trickle_give_way() {
    for line in [
        "POST /_chacha/peer/entries",
        "POST /_chacha/peer/hello",
        "PUT /k",
        "POST /v8/artifacts",
        "POST /twirp/github.actions.results.api.v1.CacheService/CreateCacheEntry",
        "PUT /_chacha/blob/Ym9keS1ib2R5LWJvZHk?se=1&sig=c2lnbmF0dXJlLTE2Ynl0ZQ",
    ] {
        check(format!("{line} HTTP/1.1\r\nHost: cache.test\r\nContent-Length: 65536\r\n\r\nx").as_bytes())
            .await;
    }
}

#[tokio::test]
async fn connections_that_were_answered_without_a_token_give_way() {
    check(b"GET /k HTTP/1.1\r\nHost: cache.test\r\n\r\n").await;
}

#[tokio::test]
async fn http2_connections_whose_streams_have_no_token_give_way() {
    let server = server(|_| {}).await;
    let mut held = Vec::new();
    for _ in 0..2 * PLACES {
        // No window: the refusals stay under way.
        held.push(Http2::connect(server.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await);
    }
    let head = Http2::head("/k", "nobody");
    for http2 in &mut held {
        for stream in 0..10 {
            http2
                .try_write(HEADERS, END_STREAM | END_HEADERS, 2 * stream + 1, &head)
                .await;
        }
    }
    for _ in 0..PLACES {
        answers_promptly(&server).await;
    }
}

/// Connections of HTTP/2 have buffers whatever they do, so strangers have fewer of them.
#[tokio::test]
async fn strangers_have_an_eighth_of_the_places_for_http2() {
    const MOST: usize = 16;
    let server = server(|config| config.limits.max_connections = 8 * MOST).await;
    let mut known = Http2::connect(server.address(), &[]).await;
    known.get(1, "/k", &server.token("acme/app")).await;
    known.until(|frame| frame.kind == DATA).await;
    let mut held = Vec::new();
    for _ in 0..2 * MOST {
        held.push(Http2::connect(server.address(), &[]).await);
    }
    let ended = "chacha_connections_given_way_total{reason=\"http2\"}";
    until_true("half of them are ended", async || {
        metric(&server, ended).await == MOST as u64
    })
    .await;
    for http2 in [&mut known].into_iter().chain(&mut held[MOST..]) {
        http2.get(3, "/k", "nobody").await;
        http2.until(|frame| frame.kind == HEADERS).await;
    }
}

/// Every place has an upload or a download with a token. Strangers come, and nothing of that breaks.
#[tokio::test]
async fn requests_with_a_token_never_give_way() {
    // Far more than the buffers of two sockets hold.
    const SIZE: usize = 20 << 20;
    let server = server(|_| {}).await;
    server.acme().put("/large", bytes(SIZE, 1)).await;
    let (mut downloads, mut uploads) = (Vec::new(), Vec::new());
    for nth in 0..PLACES / 2 - 1 {
        let mut download = server.acme().raw().await;
        download.head("GET /large HTTP/1.1", "").await;
        assert!(download.read_head().await.starts_with("HTTP/1.1 200 "));
        downloads.push(download);
        let mut upload = server.acme().raw().await;
        let waits = "Content-Length: 10\r\nExpect: 100-continue\r\n";
        upload.head(&format!("PUT /upload/{nth} HTTP/1.1"), waits).await;
        assert!(upload.read_head().await.starts_with("HTTP/1.1 100 "));
        uploads.push(upload);
    }
    let mut http2 = Http2::connect(server.address(), &[(INITIAL_WINDOW_SIZE, 1)]).await;
    http2.get(1, "/large", &server.token("acme/app")).await;
    http2.until(|frame| frame.kind == HEADERS).await;
    let held = strangers(&server, b"GET /k HTTP/1.1\r\n").await;
    for _ in 0..PLACES {
        answers_promptly(&server).await;
    }
    drop(held);
    for mut upload in uploads {
        upload.write(&bytes(10, 1)).await;
        assert!(upload.read_head().await.starts_with("HTTP/1.1 201 "));
    }
    for mut download in downloads {
        assert!(download.read_exact(SIZE).await == bytes(SIZE, 1));
    }
    http2.write(WINDOW_UPDATE, 0, 1, &1000u32.to_be_bytes()).await;
    let mut received = 0;
    while received < 1001 {
        received += http2.until(|frame| frame.kind == DATA).await.payload.len();
    }
}

/// When every place has a request with a token, a new client waits for the first that ends, and no longer.
#[tokio::test]
async fn a_client_that_found_no_place_gets_the_first_that_is_idle() {
    let server = server(|_| {}).await;
    let mut uploads = Vec::new();
    for _ in 0..PLACES {
        let mut upload = server.acme().raw().await;
        let waits = "Content-Length: 1\r\nExpect: 100-continue\r\n";
        upload.head("PUT /upload HTTP/1.1", waits).await;
        assert!(upload.read_head().await.starts_with("HTTP/1.1 100 "));
        uploads.push(upload);
    }
    let client = server.acme();
    let waiting = tokio::spawn(async move { client.get("/k").await });
    until_true("the places are taken", async || {
        metric(&server, "chacha_connections_accepted").await == PLACES as u64
    })
    .await;
    assert!(!waiting.is_finished());
    let mut first = uploads.pop().unwrap();
    first.write(b"x").await;
    assert!(first.read_head().await.starts_with("HTTP/1.1 201 "));
    assert_eq!(within(waiting).await.unwrap().text(), "kept");
}

#[tokio::test]
async fn what_held_a_place_is_seen() {
    let server = server(|_| {}).await;
    let mut known = server.acme().raw().await;
    known.head("HEAD /k HTTP/1.1", "").await;
    known.read_head().await;
    let _silent = server.anonymous().raw().await;
    let mut upload = server.acme().raw().await;
    upload
        .head(
            "PUT /upload HTTP/1.1",
            "Content-Length: 1\r\nExpect: 100-continue\r\n",
        )
        .await;
    upload.read_head().await;
    for (name, expected) in [
        ("chacha_connections_limit", PLACES as u64),
        ("chacha_connections", 3),
        ("chacha_connections_without_token", 1),
        ("chacha_connections_accepted", 1),
    ] {
        until_true(name, async || metric(&server, name).await == expected).await;
    }
}

/// A body that says what to do is in memory, and its sender may be anybody. A trickle must not renew its time.
#[tokio::test]
async fn the_body_of_a_call_that_trickles_has_ten_seconds() {
    let server = server(|_| {}).await;
    let mut raw = server.acme().raw().await;
    let begin = Instant::now();
    raw.head("POST /v8/artifacts HTTP/1.1", "Content-Length: 65536\r\n")
        .await;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            () = raw.has_answer() => break,
            _ = ticks.tick() => {}
        }
        raw.try_write(b"x").await;
    }
    let answer = raw.read_head().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(begin.elapsed() >= Duration::from_secs(9), "{:?}", begin.elapsed());
}

/// Heads that never end take memory. Beyond a bound the longest go, and nobody else's.
#[tokio::test]
async fn long_heads_without_an_end_are_ended_before_they_take_much_memory() {
    let server = TestServer::start_with(|config| config.limits.max_connections = 4096).await;
    server.acme().put("/k", "kept").await;
    let mut short = server.anonymous().raw().await;
    short.write(b"GET /k HTTP/1.1\r\n").await;
    let head = [
        b"GET /k HTTP/1.1\r\nHost: cache.test\r\nA: ",
        &[b'x'; 120_000][..],
    ]
    .concat();
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut raw = server.anonymous().raw().await;
        raw.try_write(&head).await;
        held.push(raw);
    }
    let ended = "chacha_connections_given_way_total{reason=\"memory\"}";
    until_true("some were ended", async || metric(&server, ended).await > 50).await;
    answers_promptly(&server).await;
    short.write(b"Host: cache.test\r\n\r\n").await;
    assert!(short.read_head().await.starts_with("HTTP/1.1 401 "));
}

/// A flood from one address ends itself, and nobody else's connections. Other systems have but one loopback address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_opens_too_many_connections_loses_its_own() {
    const MOST: usize = 4;
    let server = server(|config| {
        config.limits.connections_per_address = Some(MOST);
        config.trusted_proxies = TrustedProxies::of(["127.0.0.2/32".parse().unwrap()]);
    })
    .await;
    let mut known = server.acme().raw().await;
    known.head("HEAD /k HTTP/1.1", "").await;
    assert!(known.read_head().await.starts_with("HTTP/1.1 200 "));
    // A proxy may open as many as it likes.
    let mut proxied = Vec::new();
    for _ in 0..MOST + 2 {
        proxied.push(from([127, 0, 0, 2], &server).await);
    }
    let mut elsewhere = from([127, 0, 0, 3], &server).await;
    let mut flood = Vec::new();
    for _ in 0..2 * MOST {
        flood.push(server.anonymous().raw().await);
    }
    let ended = "chacha_connections_given_way_total{reason=\"address\"}";
    until_true("the flood has ended itself", async || {
        metric(&server, ended).await == MOST as u64
    })
    .await;
    for old in flood.iter_mut().take(MOST) {
        assert_eq!(old.read_to_end().await.0, b"");
    }
    let mut rest: Vec<&mut Raw> = flood
        .iter_mut()
        .skip(MOST)
        .chain([&mut elsewhere, &mut known])
        .collect();
    rest.extend(&mut proxied);
    for open in rest {
        open.head("HEAD /k HTTP/1.1", "").await;
        open.read_head().await;
    }
    assert_eq!(
        metric(&server, "chacha_connections_given_way_total{reason=\"full\"}").await,
        0
    );
}

/// Clients of one machine that have tokens are as many as they like.
#[tokio::test]
async fn connections_that_sent_a_token_do_not_count_for_their_address() {
    let server = server(|config| config.limits.connections_per_address = Some(1)).await;
    let mut held = Vec::new();
    for _ in 0..PLACES / 2 {
        let mut raw = server.acme().raw().await;
        raw.head("HEAD /k HTTP/1.1", "").await;
        raw.read_head().await;
        held.push(raw);
    }
    for raw in &mut held {
        raw.head("HEAD /k HTTP/1.1", "").await;
        assert!(raw.read_head().await.starts_with("HTTP/1.1 200 "));
    }
}

/// Connections that a proxy only passes on count for the address that it names.
#[tokio::test]
async fn clients_behind_the_proxy_protocol_are_told_apart() {
    let server = server(|config| {
        config.limits.connections_per_address = Some(2);
        config.trusted_proxies = TrustedProxies::of(["127.0.0.1/32".parse().unwrap()]);
    })
    .await;
    let mut held = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.1"] {
        let mut raw = server.anonymous().raw().await;
        raw.write(format!("PROXY TCP4 {client} 10.0.0.1 4711 443\r\n").as_bytes())
            .await;
        // Not before the header was read.
        raw.head("HEAD /k HTTP/1.1", "").await;
        raw.read_head().await;
        held.push(raw);
    }
    assert_eq!(held[0].read_to_end().await.0, b"");
    for raw in &mut held[1..] {
        raw.head("HEAD /k HTTP/1.1", "").await;
        raw.read_head().await;
    }
}

/// A connection from another address of this machine.
#[cfg(target_os = "linux")]
async fn from(address: [u8; 4], server: &TestServer) -> Raw {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    Raw::of(socket.connect(server.address()).await.unwrap())
}

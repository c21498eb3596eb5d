//! Health, readiness and metrics.

use chacha::protocol;
use chacha::telemetry::access::{MethodLabel, Outcome};
use chacha::telemetry::metrics::Metrics;
use http::StatusCode;

use crate::protocol::bytes;
use crate::support::client::within;
use crate::support::server::TestServer;

/// The value of a metric line; 0 if it was never written.
async fn metric(server: &TestServer, line: &str) -> u64 {
    let metrics = server.ops().get("/metrics").await;
    let found = metrics
        .text()
        .lines()
        .find_map(|found| found.strip_prefix(line).map(str::trim));
    found.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn health_and_readiness_need_no_token_and_are_no_keys() {
    let server = TestServer::start().await;
    assert_eq!(server.ops().get("/healthz").await.text(), "ok\n");
    let ready = until_ready(&server, StatusCode::OK).await;
    assert!(ready.starts_with("ready\n"), "{ready}");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(
            server.acme().get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
        assert_eq!(
            server.acme().put(path, "x").await.status,
            StatusCode::CREATED,
            "{path}"
        );
    }
}

/// Waits for this answer of `/readyz`; gives its text.
async fn until_ready(server: &TestServer, status: StatusCode) -> String {
    within(async {
        loop {
            let ready = server.ops().get("/readyz").await;
            if ready.status == status {
                return ready.text().to_owned();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A load balancer would send it requests of which each is answered 503.
#[tokio::test]
async fn a_server_that_never_had_a_key_is_not_ready() {
    let mut server = TestServer::start().await;
    server.issuer.down();
    server.restart().await;
    let refused = until_ready(&server, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(refused.starts_with("no issuer has keys\n"), "{refused}");
    assert!(refused.contains("no keys yet, its tokens get 503"), "{refused}");
    server.issuer.up();
    until_ready(&server, StatusCode::OK).await;
}

/// Dead disk, same answer: another server should get the requests.
#[tokio::test]
async fn a_server_whose_disk_is_dead_is_not_ready() {
    let server = TestServer::start().await;
    until_ready(&server, StatusCode::OK).await;
    let tmp = server.dir().join("cache/tmp");
    std::fs::remove_dir_all(&tmp).unwrap();
    std::fs::write(&tmp, "in the way").unwrap();
    let refused = until_ready(&server, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(
        refused.starts_with("no tier can be used\ndisk.dir: cannot be used since "),
        "{refused}"
    );
    assert_eq!(metric(&server, "chacha_disk_up").await, 0);
    std::fs::remove_file(&tmp).unwrap();
    until_ready(&server, StatusCode::OK).await;
    assert_eq!(metric(&server, "chacha_disk_up").await, 1);
}

#[tokio::test]
async fn requests_are_counted_by_protocol_method_and_outcome() {
    let server = TestServer::start().await;
    server.acme().put("/k", bytes(100_000, 1)).await;
    server.acme().get("/k").await;
    server.acme().get("/k").await;
    server.acme().get("/missing").await;
    server.anonymous().get("/k").await;
    let count = |outcome: &str, method: &str| {
        format!("chacha_requests_total{{protocol=\"http\",method=\"{method}\",outcome=\"{outcome}\"}}")
    };
    for (line, expected) in [
        (count("stored", "PUT"), 1),
        (count("hit", "GET"), 2),
        (count("miss", "GET"), 1),
        (count("refused", "GET"), 1),
        ("chacha_received_bytes_total".to_owned(), 100_000),
        ("chacha_disk_entries".to_owned(), 1),
        ("chacha_auth_verified_total".to_owned(), 4),
    ] {
        // The record of a request is closed when its connection has let go of the body.
        within(async {
            while metric(&server, &line).await != expected {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[test]
fn every_front_end_has_its_label() {
    let metrics = Metrics::new(protocol::names());
    for name in protocol::names() {
        metrics.request(name, MethodLabel::Get, Outcome::Hit, 0.1, 1, 1);
        let line = format!("chacha_requests_total{{protocol=\"{name}\",method=\"GET\",outcome=\"hit\"}} 1\n");
        assert!(metrics.render().contains(&line), "{name}");
    }
}

#[tokio::test]
async fn metrics_hold_no_secret() {
    let server = TestServer::start().await;
    server.acme().put("/very-secret-key", "x").await;
    let text = server.ops().get("/metrics").await;
    for secret in ["very-secret-key", "acme", "refs/heads"] {
        assert!(!text.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_draining_server_is_not_ready_in_its_metrics_either() {
    let mut server = TestServer::start().await;
    until_ready(&server, StatusCode::OK).await;
    let ops = server.ops();
    let says = async |line: &str| ops.get("/metrics").await.text().contains(line);
    assert!(says("chacha_ready 1\n").await);
    let mut raw = server.acme().raw().await;
    raw.head("PUT /k HTTP/1.1", "Content-Length: 3\r\nExpect: 100-continue\r\n")
        .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    let stopping = tokio::spawn(server.take().stop());
    within(async {
        while !says("chacha_ready 0\n").await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    raw.write(b"abc").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "));
    within(stopping).await.unwrap();
}

/// Whoever reaches the listener for operators holds what can be held of it.
#[tokio::test]
async fn strangers_on_the_ops_listener_keep_nobody_from_its_answers() {
    let server = TestServer::start().await;
    for attack in [
        &b""[..],
        b"GET /metr",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        let mut held = Vec::new();
        for _ in 0..100 {
            let mut raw = server.ops().raw().await;
            raw.try_write(attack).await;
            held.push(raw);
        }
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(server.ops().get(path).await.status, StatusCode::OK, "{path}");
        }
    }
}

/// Scrapers and probes have places of their own.
#[tokio::test]
async fn the_ops_listener_answers_while_all_places_for_clients_are_taken() {
    let server = TestServer::start_with(|config| config.limits.max_connections = 2).await;
    let mut uploads = Vec::new();
    for _ in 0..2 {
        let mut upload = server.acme().raw().await;
        upload
            .head("PUT /k HTTP/1.1", "Content-Length: 9\r\nExpect: 100-continue\r\n")
            .await;
        upload.read_head().await;
        uploads.push(upload);
    }
    let waiting = server.acme().raw().await;
    assert_eq!(server.ops().get("/healthz").await.text(), "ok\n");
    assert_eq!(metric(&server, "chacha_connections_accepted").await, 2);
    drop(waiting);
}

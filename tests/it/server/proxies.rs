//! What proxies say of their clients, and who is believed.

use chacha::config::{ListenAddr, TrustedProxies};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::http2::{HEADERS, Http2};
use crate::support::server::TestServer;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x11\x5c\x01\xbb";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const V1: &[u8] = b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n";
const GET: &[u8] = b"GET /k HTTP/1.1\r\nHost: cache.test\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n";

fn loopback() -> TrustedProxies {
    TrustedProxies::of(["127.0.0.0/8".parse().unwrap()])
}

async fn trusting() -> TestServer {
    TestServer::start_with(|config| config.trusted_proxies = loopback()).await
}

/// Sends bytes on a connection of their own; the line of the answer.
async fn send(server: &TestServer, bytes: &[u8]) -> String {
    let mut raw = server.anonymous().raw().await;
    raw.write(bytes).await;
    let head = raw.read_head().await;
    head.lines().next().unwrap_or_default().to_owned()
}

/// The field `client` of the lines of the log.
async fn clients(server: &mut TestServer) -> Vec<serde_json::Value> {
    server
        .log()
        .await
        .iter()
        .map(|line| line["client"].clone())
        .collect()
}

#[tokio::test]
async fn nobody_is_believed_without_being_named() {
    let mut server = TestServer::start().await;
    send(&server, GET).await;
    // Not even by a connection that goes on.
    for header in [V2, V1] {
        let answer = send(&server, &[header, GET].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_eq!(clients(&mut server).await, ["127.0.0.1"]);
}

#[tokio::test]
async fn the_last_address_that_is_no_proxy_is_the_client() {
    let mut server = trusting().await;
    let headers: [&[(&str, &str)]; 4] = [
        &[],
        &[("x-forwarded-for", "198.51.100.7, 203.0.113.7, 127.0.0.9")],
        &[("forwarded", "for=198.51.100.7, for=\"[2001:db8::1]:4711\"")],
        &[
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=198.51.100.7"),
        ],
    ];
    for headers in headers {
        server.anonymous().get_with("/k", headers).await;
    }
    let expected = ["127.0.0.1", "203.0.113.7", "2001:db8::1", "127.0.0.1"];
    assert_eq!(clients(&mut server).await, expected);
}

#[tokio::test]
async fn a_trusted_proxy_may_begin_with_a_header_of_its_own() {
    let mut server = trusting().await;
    for header in [V2, V1, V2_LOCAL, b""] {
        let answer = send(&server, &[header, GET].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    // The client of the connection is no proxy, so its header does not count. Who speaks for itself is one.
    let expected = ["192.0.2.1", "2001:db8::1", "203.0.113.7", "203.0.113.7"];
    assert_eq!(clients(&mut server).await, expected);
}

#[tokio::test]
async fn a_header_of_a_proxy_stands_in_front_of_http2_too() {
    let mut server = trusting().await;
    let mut client = Http2::connect_behind(V2, server.address(), &[]).await;
    client.get(1, "/k", "nobody").await;
    client.until(|frame| frame.kind == HEADERS).await;
    drop(client);
    assert_eq!(clients(&mut server).await, ["192.0.2.1"]);
}

#[tokio::test]
async fn a_broken_header_of_a_proxy_ends_the_connection() {
    let server = trusting().await;
    let mut raw = server.anonymous().raw().await;
    raw.write(b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n").await;
    let (answer, _) = raw.read_to_end().await;
    assert_eq!(answer, b"");
    // Methods that begin in the same way are not held up.
    assert!(
        send(
            &server,
            b"PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        )
        .await
        .contains(" 401 ")
    );
}

#[tokio::test]
async fn a_socket_of_the_file_system_is_believed_by_its_word() {
    let dir = tempfile::tempdir().unwrap();
    for (trusted, client) in [(true, "192.0.2.1"), (false, "")] {
        let path = dir.path().join(format!("{trusted}.sock"));
        let mut server = TestServer::start_with(|config| {
            config.listen.push(ListenAddr::Unix(path.clone()));
            let list = if trusted { "[unix]" } else { "[127.0.0.1]" };
            config.trusted_proxies = parsed(list);
        })
        .await;
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request =
            b"GET /k HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(clients(&mut server).await, [json!(client)]);
    }
}

/// The key as a file has it.
fn parsed(list: &str) -> TrustedProxies {
    crate::config::accepted_top(&format!("trusted_proxies: {list}")).trusted_proxies
}

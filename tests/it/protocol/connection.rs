//! Many requests on one connection: what one answer leaves behind must not reach the next.

use super::bytes;
use crate::support::client::Raw;
use crate::support::server::TestServer;

/// In memory, copied from a file, in one piece of a file, in several.
const SMALL: usize = 1000;
const COPIED: usize = 60_000;
const MIDDLE: usize = 100_000;
const LARGE: usize = (3 << 20) + 7;

async fn start() -> TestServer {
    let server = TestServer::start().await;
    for size in [SMALL, COPIED, MIDDLE, LARGE] {
        server
            .acme()
            .put(&format!("/{size}"), bytes(size, size as u64))
            .await;
    }
    server
}

/// Sends a request and checks the status; the head of the answer.
async fn ask(raw: &mut Raw, line: &str, headers: &str, status: u16) -> String {
    raw.head(&format!("{line} HTTP/1.1"), headers).await;
    let head = raw.read_head().await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {head}");
    head
}

/// Gets a whole entry and checks every byte.
async fn whole(raw: &mut Raw, size: usize) {
    let head = ask(raw, &format!("GET /{size}"), "", 200).await;
    assert_eq!(value(&head, "content-length"), size.to_string());
    assert!(
        raw.read_exact(size).await == bytes(size, size as u64),
        "{size} bytes"
    );
}

fn value<'a>(head: &'a str, name: &str) -> &'a str {
    let found = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

#[tokio::test]
async fn bodies_of_memory_and_of_files_take_turns() {
    let server = start().await;
    let mut raw = server.acme().raw().await;
    for nth in 0_usize..60 {
        whole(&mut raw, [SMALL, COPIED, LARGE, COPIED, MIDDLE, SMALL][nth % 6]).await;
    }
}

#[tokio::test]
async fn answers_that_do_not_fit_into_the_socket_at_once_lose_nothing() {
    const COUNT: usize = 400;
    let server = start().await;
    let mut raw = server.acme().raw().await;
    for nth in 0..COUNT {
        let size = if nth % 2 == 0 { COPIED } else { SMALL };
        raw.head(&format!("GET /{size} HTTP/1.1"), "").await;
    }
    for nth in 0..COUNT {
        let size = if nth % 2 == 0 { COPIED } else { SMALL };
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{nth}: {head}");
        assert!(raw.read_exact(size).await == bytes(size, size as u64), "{nth}");
    }
}

#[tokio::test]
async fn uploads_and_misses_stand_between_files() {
    let server = start().await;
    let mut raw = server.acme().raw().await;
    for nth in 0..10 {
        whole(&mut raw, LARGE).await;
        ask(&mut raw, &format!("PUT /new{nth}"), "Content-Length: 0\r\n", 201).await;
        let miss = ask(&mut raw, "GET /missing", "", 404).await;
        raw.read_exact(value(&miss, "content-length").parse().unwrap())
            .await;
        raw.head(&format!("PUT /new{nth} HTTP/1.1"), "Content-Length: 70000\r\n")
            .await;
        raw.write(&bytes(70_000, nth)).await;
        let stored = raw.read_head().await;
        assert!(stored.starts_with("HTTP/1.1 2"), "{stored}");
        whole(&mut raw, SMALL).await;
    }
}

#[tokio::test]
async fn head_has_no_body_and_leaves_none_to_the_next_answer() {
    let server = start().await;
    let mut raw = server.acme().raw().await;
    for size in [SMALL, COPIED, MIDDLE, LARGE, MIDDLE] {
        let head = ask(&mut raw, &format!("HEAD /{size}"), "", 200).await;
        assert_eq!(value(&head, "content-length"), size.to_string());
        whole(&mut raw, size).await;
    }
}

#[tokio::test]
async fn not_modified_leaves_no_file_to_the_next_answer() {
    let server = start().await;
    let mut raw = server.acme().raw().await;
    for size in [SMALL, COPIED, MIDDLE, LARGE] {
        let tag = value(&ask(&mut raw, &format!("HEAD /{size}"), "", 200).await, "etag").to_owned();
        for next in [MIDDLE, SMALL, LARGE] {
            let condition = format!("If-None-Match: {tag}\r\n");
            ask(&mut raw, &format!("GET /{size}"), &condition, 304).await;
            whole(&mut raw, next).await;
        }
    }
}

#[tokio::test]
async fn a_range_leaves_nothing_to_the_next_answer() {
    let server = start().await;
    let mut raw = server.acme().raw().await;
    for size in [SMALL, COPIED, MIDDLE, LARGE] {
        for (range, start, end) in [
            ("0-0".to_owned(), 0, 1),
            ("10-99".to_owned(), 10, 100),
            ("-5".to_owned(), size - 5, size),
            ("1-".to_owned(), 1, size),
        ] {
            let headers = format!("Range: bytes={range}\r\n");
            let head = ask(&mut raw, &format!("GET /{size}"), &headers, 206).await;
            assert_eq!(
                value(&head, "content-range"),
                format!("bytes {start}-{}/{size}", end - 1)
            );
            let expected = &bytes(size, size as u64)[start..end];
            assert!(raw.read_exact(end - start).await == expected, "{size} {range}");
            whole(&mut raw, size).await;
        }
        let beyond = format!("Range: bytes={size}-\r\n");
        let head = ask(&mut raw, &format!("GET /{size}"), &beyond, 416).await;
        let length = value(&head, "content-length").parse().unwrap_or_default();
        raw.read_exact(length).await;
        whole(&mut raw, size).await;
    }
}

#[tokio::test]
async fn connection_close_ends_after_a_whole_answer() {
    let server = start().await;
    for size in [SMALL, COPIED, MIDDLE, LARGE] {
        let mut raw = server.acme().raw().await;
        whole(&mut raw, size).await;
        let head = ask(&mut raw, &format!("GET /{size}"), "Connection: close\r\n", 200).await;
        assert_eq!(value(&head, "connection"), "close");
        let (body, closed) = raw.read_to_end().await;
        assert!(closed && body == bytes(size, size as u64), "{size}");
    }
}

#[tokio::test]
async fn http_1_0_keeps_a_connection_only_if_asked_to() {
    let server = start().await;
    let mut raw = server.acme().raw().await;
    for size in [SMALL, LARGE, MIDDLE] {
        raw.head(&format!("GET /{size} HTTP/1.0"), "Connection: keep-alive\r\n")
            .await;
        let head = raw.read_head().await;
        assert_eq!(value(&head, "connection"), "keep-alive", "{head}");
        assert!(raw.read_exact(size).await == bytes(size, size as u64), "{size}");
    }
    raw.head(&format!("GET /{MIDDLE} HTTP/1.0"), "").await;
    raw.read_head().await;
    let (body, closed) = raw.read_to_end().await;
    assert!(closed && body == bytes(MIDDLE, MIDDLE as u64));
}

#[tokio::test]
async fn pipelined_heads_conditions_and_files_keep_their_order() {
    let server = start().await;
    let mut raw = server.acme().raw().await;
    let lines = [
        format!("GET /{LARGE}"),
        format!("HEAD /{MIDDLE}"),
        format!("GET /{MIDDLE}"),
        "HEAD /missing".to_owned(),
        format!("GET /{SMALL}"),
        format!("GET /{LARGE}"),
    ];
    for line in &lines {
        raw.head(&format!("{line} HTTP/1.1"), "").await;
    }
    for line in &lines {
        let head = raw.read_head().await;
        if let Some(size) = line.strip_prefix("GET /") {
            let size = size.parse().unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{line}: {head}");
            assert!(raw.read_exact(size).await == bytes(size, size as u64), "{line}");
        }
    }
}

#[tokio::test]
async fn an_empty_entry_has_a_length_too() {
    let server = start().await;
    server.acme().put("/empty", bytes(0, 0)).await;
    let mut raw = server.acme().raw().await;
    for line in ["HEAD /empty", "GET /empty"] {
        let head = ask(&mut raw, line, "", 200).await;
        assert_eq!(value(&head, "content-length"), "0", "{line}");
    }
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answer() {
    let server = start().await;
    for size in [SMALL, COPIED, MIDDLE, LARGE] {
        let mut raw = server.acme().raw().await;
        raw.head(&format!("GET /{size} HTTP/1.1"), "").await;
        raw.finish().await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let (body, closed) = raw.read_to_end().await;
        assert!(body == bytes(size, size as u64), "{size} bytes");
        assert!(closed);
    }
}

#[tokio::test]
async fn a_download_that_pauses_outlives_keep_alive() {
    // Far more than the buffers of two sockets hold.
    const SIZE: usize = 40 << 20;
    let server = TestServer::start_with(|config| {
        config.limits.keep_alive = std::time::Duration::from_secs(1);
    })
    .await;
    server.acme().put("/k", bytes(SIZE, 1)).await;
    let mut download = server.acme().raw().await;
    ask(&mut download, "GET /k", "", 200).await;
    // A connection that begins to idle after the download has come to a halt, and ends for that.
    let mut idle = server.acme().raw().await;
    ask(&mut idle, "HEAD /k", "", 200).await;
    let (_, closed) = idle.read_to_end().await;
    assert!(closed);
    assert!(download.read_exact(SIZE).await == bytes(SIZE, 1));
}

/// Asks with a body that nobody reads to its end; the answer says so, arrives whole, and ends the connection.
async fn closes(server: &TestServer, line: &str, headers: &str, sent: &[u8], status: u16, length: usize) {
    let mut raw = server.acme().raw().await;
    raw.head(&format!("{line} HTTP/1.1"), headers).await;
    raw.write(sent).await;
    let head = raw.read_head().await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {head}");
    assert_eq!(value(&head, "connection"), "close", "{line}");
    let (body, closed) = raw.read_to_end().await;
    assert!(closed, "{line}: a reset");
    assert_eq!(body.len(), length, "{line}");
}

#[tokio::test]
async fn who_sends_a_body_that_is_not_read_is_told_that_the_connection_ends() {
    let server = TestServer::start_with(|config| {
        config.limits.max_entry_size = Some(4 << 20);
        config.limits.body_idle_timeout = std::time::Duration::from_millis(50);
    })
    .await;
    server.acme().put("/middle", bytes(MIDDLE, 1)).await;
    let body = vec![b'x'; 3 << 20];
    let length = format!("Content-Length: {}\r\n", body.len());
    closes(&server, "GET /middle", &length, &body, 200, MIDDLE).await;
    let huge = format!("Content-Length: {}\r\n", 64 << 20);
    closes(&server, "DELETE /middle", &huge, &body, 204, 0).await;
    let waits = "Expect: 100-continue\r\nContent-Length: 4\r\n";
    let mut raw = server.acme().raw().await;
    let head = ask(&mut raw, "PROPFIND /folder/", waits, 207).await;
    assert_eq!(value(&head, "connection"), "close");
    // It stalls.
    let stalled = "Content-Length: 9\r\n";
    closes(&server, "PUT /stalled", stalled, b"half", 408, 32).await;
    // It is too long, which nobody knew before.
    let mut raw = server.acme().raw().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    raw.head("PUT /long HTTP/1.1", chunked).await;
    for _ in 0..5 {
        raw.write(format!("{:x}\r\n", 1 << 20).as_bytes()).await;
        raw.write(&body[..1 << 20]).await;
        raw.write(b"\r\n").await;
    }
    let head = raw.read_head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(value(&head, "connection"), "close");
    // A body that is read to its end leaves the connection open, whatever the answer.
    let mut raw = server.acme().raw().await;
    let answer = ask(&mut raw, "PROPFIND /folder/", "Content-Length: 0\r\n", 207).await;
    raw.read_exact(value(&answer, "content-length").parse().unwrap())
        .await;
    for (line, status) in [("DELETE /nothing", 404), ("PUT /%zz", 400)] {
        raw.head(&format!("{line} HTTP/1.1"), "Content-Length: 4\r\n")
            .await;
        raw.write(b"body").await;
        let head = raw.read_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(value(&head, "connection"), "");
        raw.read_exact(value(&head, "content-length").parse().unwrap())
            .await;
    }
}

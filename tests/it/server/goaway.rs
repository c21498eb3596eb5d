//! How HTTP/2 connections end at a drain. Frames are written by hand: a client library hides them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::protocol::bytes;
use crate::support::client::within;
use crate::support::server::TestServer;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113, section 4.1.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// Last stream and code of a GOAWAY.
    fn goaway(&self) -> (u32, u32) {
        let number = |at: usize| u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap());
        (number(0), number(4))
    }
}

struct Http2(TcpStream);

impl Http2 {
    /// Connects and sends `GET /k` as stream 1.
    async fn get(server: &TestServer, token: &str) -> Self {
        let mut this = Self(TcpStream::connect(server.address()).await.unwrap());
        within(this.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            .await
            .unwrap();
        this.write(SETTINGS, 0, 0, &[]).await;
        // GET, http; path, authority and authorization as literals that are not indexed (RFC 7541).
        let mut head = vec![0x82, 0x86];
        for (name, value) in [
            (&[0x04][..], "/k"),
            (&[0x01], "cache.test"),
            (&[0x0f, 0x08], &format!("Bearer {token}")),
        ] {
            head.extend_from_slice(name);
            literal(&mut head, value);
        }
        this.write(HEADERS, END_STREAM | END_HEADERS, 1, &head).await;
        this
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        within(self.0.write_all(&frame)).await.unwrap();
    }

    /// The next frame, after what it asks for was done; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.0.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        within(self.0.read_exact(&mut payload)).await.unwrap();
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            payload,
        };
        if frame.flags & ACK == 0 {
            match frame.kind {
                SETTINGS => self.write(SETTINGS, ACK, 0, &[]).await,
                PING => self.write(PING, ACK, 0, &frame.payload).await,
                _ => {}
            }
        }
        Some(frame)
    }

    async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection ended");
            if wanted(&frame) {
                return frame;
            }
        }
    }
}

/// A string without Huffman code (RFC 7541, section 5.2).
fn literal(head: &mut Vec<u8>, value: &str) {
    match value.len() {
        short @ 0..127 => head.push(short as u8),
        long => {
            head.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                head.push(rest as u8 | 128);
                rest >>= 7;
            }
            head.push(rest as u8);
        }
    }
    head.extend_from_slice(value.as_bytes());
}

#[tokio::test]
async fn an_idle_http2_connection_ends_with_goaway() {
    let mut server = TestServer::start().await;
    let mut client = Http2::get(&server, "nobody").await;
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
    let mut client = Http2::get(&server, &token).await;
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
    let mut client = Http2::get(&server, "nobody").await;
    client
        .until(|frame| frame.flags & END_STREAM != 0 && frame.kind <= HEADERS)
        .await;
    let begin = std::time::Instant::now();
    within(server.stop()).await;
    assert!(begin.elapsed() < server.config().limits.drain_timeout);
}

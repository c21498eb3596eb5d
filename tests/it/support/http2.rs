//! HTTP/2 by hand, for what a client library hides or would not send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::within;

// Types and flags of RFC 9113, section 6.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The setting that says how much may be sent on a new stream.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// RFC 9113, section 4.1.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Last stream and code of a GOAWAY.
    pub(crate) fn goaway(&self) -> (u32, u32) {
        let number = |at: usize| u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap());
        (number(0), number(4))
    }
}

/// A connection on which a test writes every frame itself.
pub(crate) struct Http2(TcpStream);

impl Http2 {
    /// Connects and says what this client accepts.
    pub(crate) async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::connect_behind(b"", address, settings).await
    }

    /// The same with bytes in front of all others.
    pub(crate) async fn connect_behind(first: &[u8], address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut this = Self(TcpStream::connect(address).await.unwrap());
        within(this.0.write_all(first)).await.unwrap();
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        within(this.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            .await
            .unwrap();
        this.write(SETTINGS, 0, 0, &payload).await;
        this
    }

    /// The head of `GET` for [`Http2::write`] and [`Http2::try_write`].
    pub(crate) fn head(path: &str, token: &str) -> Vec<u8> {
        // GET, http; path, authority and authorization as literals that are not indexed (RFC 7541).
        let mut head = vec![0x82, 0x86];
        for (name, value) in [
            (&[0x04][..], path),
            (&[0x01], "cache.test"),
            (&[0x0f, 0x08], &format!("Bearer {token}")),
        ] {
            head.extend_from_slice(name);
            literal(&mut head, value);
        }
        head
    }

    /// Sends a whole request.
    pub(crate) async fn get(&mut self, stream: u32, path: &str, token: &str) {
        let head = Self::head(path, token);
        self.write(HEADERS, END_STREAM | END_HEADERS, stream, &head).await;
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        assert!(self.try_write(kind, flags, stream, payload).await);
    }

    /// Whether the connection took the frame.
    pub(crate) async fn try_write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        within(self.0.write_all(&frame)).await.is_ok()
    }

    /// The next frame, after what it asks for was done; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.0.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        within(self.0.read_exact(&mut payload)).await.ok()?;
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            payload,
        };
        if frame.flags & ACK == 0 {
            match frame.kind {
                SETTINGS => _ = self.try_write(SETTINGS, ACK, 0, &[]).await,
                PING => _ = self.try_write(PING, ACK, 0, &frame.payload).await,
                _ => {}
            }
        }
        Some(frame)
    }

    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
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

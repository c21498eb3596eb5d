//! Heads of requests that are on their way: for how long, and how much of them is in memory.
//!
//! Only for HTTP/1. A connection of HTTP/2 has one head at a time that is not whole, and hyper bounds it.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A head has to be whole within so many seconds after it began.
const MAX_SECONDS: u32 = 10;
/// Bytes of a head that cost nothing beyond the buffer that every connection has which sends one.
const FREE_BYTES: usize = 8 * 1024;
/// Bytes beyond that of all heads together. Heads with the tokens of CI systems have less than 8 KiB each.
const MAX_BYTES: usize = 32 << 20;

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI";

const NEW: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

/// Bytes of heads of all connections.
#[derive(Debug, Default)]
pub(super) struct HeadRoom {
    taken: AtomicUsize,
    refused: AtomicU64,
}

/// The head that one connection is sending. Its stream alone adds to it.
#[derive(Debug, Default)]
pub(super) struct Head {
    protocol: AtomicU8,
    /// When it began, in seconds of the clock and one; 0 if it has not.
    since: AtomicU32,
    bytes: AtomicUsize,
}

impl HeadRoom {
    /// Connections that were ended because their heads took too much.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn take(&self, bytes: usize) -> io::Result<()> {
        let before = self.taken.fetch_add(bytes, Relaxed);
        if before + bytes <= MAX_BYTES {
            return Ok(());
        }
        self.refused.fetch_add(1, Relaxed);
        Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            "long heads take too much memory",
        ))
    }
}

impl Head {
    /// Whether these bytes are the first of the connection, and those of HTTP/2.
    pub(super) fn begins_http2(&self, bytes: &[u8]) -> bool {
        if bytes.is_empty() || self.protocol.load(Relaxed) != NEW {
            return false;
        }
        let http2 = bytes.starts_with(PREFACE);
        self.protocol.store(if http2 { HTTP2 } else { HTTP1 }, Relaxed);
        http2
    }

    /// Bytes have come while no request was under way.
    ///
    /// # Errors
    /// All heads together take too much, and this is a long one.
    pub(super) fn grow(&self, bytes: &[u8], now: u32, room: &HeadRoom) -> io::Result<()> {
        if self.protocol.load(Relaxed) != HTTP1 {
            return Ok(());
        }
        if self.since.load(Relaxed) == 0 {
            // Some clients send a line end behind a body (RFC 9112, section 2.2).
            if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                return Ok(());
            }
            self.since.store(now + 1, Relaxed);
        }
        let before = self.bytes.fetch_add(bytes.len(), Relaxed);
        let after = before + bytes.len();
        match after > FREE_BYTES {
            true => room.take(after - before.max(FREE_BYTES)),
            false => Ok(()),
        }
    }

    /// It is whole, or will never be.
    pub(super) fn end(&self, room: &HeadRoom) {
        if self.since.load(Relaxed) == 0 {
            return;
        }
        self.since.store(0, Relaxed);
        let bytes = self.bytes.swap(0, Relaxed);
        room.taken.fetch_sub(bytes.saturating_sub(FREE_BYTES), Relaxed);
    }

    /// Whether it takes too long.
    pub(super) fn is_late(&self, now: u32) -> bool {
        let since = self.since.load(Relaxed);
        since > 0 && now > since - 1 + MAX_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_late(pieces: &[&[u8]]) -> [bool; 2] {
        let (head, room) = (Head::default(), HeadRoom::default());
        for (second, piece) in (100..).zip(pieces) {
            head.begins_http2(piece);
            head.grow(piece, second, &room).unwrap();
        }
        [110, 111].map(|now| head.is_late(now))
    }

    #[test]
    fn a_head_has_ten_seconds_however_it_comes() {
        assert_eq!(is_late(&[]), [false, false]);
        assert_eq!(is_late(&[b"G"]), [false, true]);
        assert_eq!(is_late(&[b"G", b"E", b"T", b" "]), [false, true]);
        // What is no head.
        assert_eq!(is_late(&[b"\r\n", b"\r\n"]), [false, false]);
        assert_eq!(
            is_late(&[b"PRI * HTTP/2.0\r\n", b"ping", b"ping"]),
            [false, false]
        );
    }

    #[test]
    fn what_a_head_has_taken_is_given_back_when_it_is_whole() {
        let (head, room) = (Head::default(), HeadRoom::default());
        assert!(!head.begins_http2(b"GET"));
        for _ in 0..3 {
            for _ in 0..5 {
                head.grow(&[b'x'; 3000], 1, &room).unwrap();
            }
            assert_eq!(room.taken.load(Relaxed), 15_000 - FREE_BYTES);
            head.end(&room);
            assert_eq!(room.taken.load(Relaxed), 0);
            head.grow(&[b'x'; 3000], 1, &room).unwrap();
            assert_eq!(room.taken.load(Relaxed), 0);
            head.end(&room);
        }
    }

    #[test]
    fn only_long_heads_are_refused_when_there_is_no_room() {
        let (room, long) = (HeadRoom::default(), vec![b'x'; 128 * 1024]);
        let http1 = || {
            let head = Head::default();
            assert!(!head.begins_http2(b"GET"));
            head
        };
        let heads: Vec<Head> = (0..300).map(|_| http1()).collect();
        let refused = heads
            .iter()
            .filter(|head| head.grow(&long, 1, &room).is_err())
            .count();
        assert!((1..100).contains(&refused), "{refused}");
        assert_eq!(room.refused(), refused as u64);
        http1().grow(&[b'x'; FREE_BYTES], 1, &room).unwrap();
        for head in &heads {
            head.end(&room);
        }
        assert_eq!(room.taken.load(Relaxed), 0);
    }
}

//! The header of the PROXY protocol, versions 1 and 2, in front of what the client of a trusted proxy sends.

use std::io;
use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// No method of HTTP that anybody uses, and no preface of HTTP/2.
const TEXT: &[u8] = b"PROXY ";
/// A header with its additions has some hundred bytes.
const READ_BYTES: usize = 512;

/// How a connection begins.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    /// More bytes are needed.
    Unknown,
    /// Without a header.
    Plain,
    /// With a header of this length; a proxy that speaks for itself names no client.
    Header(usize, Option<IpAddr>),
    /// With a header that cannot be read.
    Broken,
}

/// Reads the header, if there is one. The client that it names, and what was read behind it.
///
/// # Errors
/// The header cannot be read, or the connection broke.
pub(super) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<(Option<IpAddr>, Bytes)> {
    let mut bytes = BytesMut::new();
    loop {
        match beginning(&bytes) {
            Beginning::Plain => return Ok((None, bytes.freeze())),
            Beginning::Header(length, client) => {
                let rest = bytes.split_off(length);
                return Ok((client, rest.freeze()));
            }
            Beginning::Broken => return Err(io::ErrorKind::InvalidData.into()),
            Beginning::Unknown => {}
        }
        bytes.reserve(READ_BYTES);
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok((None, bytes.freeze()));
        }
    }
}

fn beginning(bytes: &[u8]) -> Beginning {
    let may_be = |form: &[u8]| {
        let length = form.len().min(bytes.len());
        form[..length] == bytes[..length]
    };
    if !may_be(BINARY) && !may_be(TEXT) {
        return Beginning::Plain;
    }
    if !bytes.starts_with(BINARY) && !bytes.starts_with(TEXT) {
        return Beginning::Unknown;
    }
    match ProxyHeader::parse(bytes, ParseConfig::default()) {
        Ok((header, length)) => {
            let client = header
                .proxied_address()
                .map(|both| both.source.ip().to_canonical());
            Beginning::Header(length, client)
        }
        Err(Error::BufferTooShort) => Beginning::Unknown,
        Err(_) => Beginning::Broken,
    }
}

/// For `fuzz/`: how long the header is.
pub(crate) fn header_length(bytes: &[u8]) -> Option<usize> {
    match beginning(bytes) {
        Beginning::Header(length, _) => Some(length),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    const V2_V4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x11\x5c\x01\xbb";
    const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    const V1: &[u8] = b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n";
    const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

    /// Bytes come one by one, and all at once.
    async fn check(header: &[u8], client: Option<&str>) {
        let whole = [header, b"GET / HTTP/1.1\r\n"].concat();
        for pieces in [1, whole.len()] {
            let mut stream = Arriving(whole.chunks(pieces));
            let (found, mut rest) = {
                let (client, rest) = read(&mut stream).await.unwrap();
                (client, rest.to_vec())
            };
            stream.read_to_end(&mut rest).await.unwrap();
            assert_eq!(found.map(|client| client.to_string()).as_deref(), client);
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{header:?}");
        }
    }

    /// Bytes, of which some come at a time.
    struct Arriving<'a>(std::slice::Chunks<'a, u8>);

    impl AsyncRead for Arriving<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.put_slice(self.0.next().unwrap_or_default());
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_header_is_taken_off_however_it_arrives() {
        check(V2_V4, Some("192.0.2.1")).await;
        check(V2_LOCAL, None).await;
        check(V1, Some("2001:db8::1")).await;
        check(V1_UNKNOWN, None).await;
        check(b"", None).await;
    }

    #[tokio::test]
    async fn what_only_begins_like_a_header_is_left_alone() {
        for plain in [
            &b"PUT /k"[..],
            b"PROPFIND /",
            b"PRI * HTTP/2.0\r\n",
            b"\r\n\r\nGET /",
            b"P",
            b"\r\n",
            b"",
        ] {
            for piece in [1, 64] {
                let mut stream = Arriving(plain.chunks(piece));
                let (client, mut rest) = read(&mut stream)
                    .await
                    .map(|(client, rest)| (client, rest.to_vec()))
                    .unwrap();
                stream.read_to_end(&mut rest).await.unwrap();
                assert_eq!((client, &rest[..]), (None, plain));
            }
        }
    }

    #[tokio::test]
    async fn a_broken_header_ends_the_connection() {
        for broken in [
            &b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n"[..],
            b"PROXY /path HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02abGET / HTTP/1.1\r\n",
            &[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(),
        ] {
            let mut stream = Arriving(broken.chunks(1));
            let error = read(&mut stream).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{broken:?}");
        }
    }
}

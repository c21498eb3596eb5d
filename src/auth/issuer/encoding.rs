//! Answers of issuers that come compressed although `identity` was asked for: file servers and content networks send
//! what they have stored.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, HeaderMap};

/// Why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodingError {
    #[error("the answer is compressed in a way that is not understood; gzip and deflate are")]
    Unknown,
    #[error("the compressed answer is damaged")]
    Damaged(#[source] io::Error),
    #[error("the answer is larger than {0} bytes once it is decompressed")]
    TooLong(usize),
}

/// The body without its content coding, at most `max` bytes. The content says whether it is gzip or plain JSON:
/// headers of stored files are often wrong in both directions.
pub(super) fn decoded(headers: &HeaderMap, body: Bytes, max: usize) -> Result<Vec<u8>, EncodingError> {
    const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
    const ZLIB_METHOD: u8 = 8;
    if body.starts_with(GZIP_MAGIC) {
        return bounded(MultiGzDecoder::new(&*body), max);
    }
    if is_plain(&body) {
        return Ok(body.to_vec());
    }
    match coding(headers).as_deref() {
        None | Some("identity" | "") => Ok(body.to_vec()),
        // Some servers leave out the wrapper of zlib (RFC 9110 section 8.4.1.2).
        Some("deflate") if body.first().is_some_and(|byte| byte & 0xf == ZLIB_METHOD) => {
            bounded(ZlibDecoder::new(&*body), max)
        }
        Some("deflate") => bounded(DeflateDecoder::new(&*body), max),
        Some(_) => Err(EncodingError::Unknown),
    }
}

/// Whether it looks like JSON or a web page.
fn is_plain(body: &[u8]) -> bool {
    let first = body.trim_ascii_start().first();
    first.is_none_or(|byte| matches!(byte, b'{' | b'[' | b'<'))
}

/// The last coding that was applied.
fn coding(headers: &HeaderMap) -> Option<String> {
    let last = headers.get_all(CONTENT_ENCODING).iter().next_back()?;
    let names = last.to_str().unwrap_or("unreadable").rsplit(',').next();
    names.map(|name| name.trim().to_ascii_lowercase())
}

/// Reads to the end, but not far beyond `max`: a small body may stand for a very long one.
fn bounded(decoder: impl Read, max: usize) -> Result<Vec<u8>, EncodingError> {
    let mut body = Vec::new();
    let mut limited = decoder.take(max as u64 + 1);
    limited.read_to_end(&mut body).map_err(EncodingError::Damaged)?;
    match body.len() > max {
        true => Err(EncodingError::TooLong(max)),
        false => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use std::io::Write as _;

    const PLAIN: &[u8] = br#"{"keys":[]}"#;
    const MAX: usize = 1000;

    fn decode(coding: &'static str, body: Vec<u8>) -> Result<Vec<u8>, EncodingError> {
        let coding = HeaderValue::from_static(coding);
        decoded(
            &HeaderMap::from_iter([(CONTENT_ENCODING, coding)]),
            body.into(),
            MAX,
        )
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_and_both_kinds_of_deflate_are_understood() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(PLAIN).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(PLAIN).unwrap();
        for (coding, body) in [
            ("gzip", gzip(PLAIN)),
            ("x-gzip", gzip(PLAIN)),
            ("identity", gzip(PLAIN)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("gzip", PLAIN.to_vec()),
            ("br", PLAIN.to_vec()),
            ("", PLAIN.to_vec()),
        ] {
            assert_eq!(decode(coding, body).unwrap(), PLAIN, "{coding}");
        }
    }

    #[test]
    fn a_small_body_that_stands_for_a_long_one_is_refused() {
        assert_eq!(decode("gzip", gzip(&[b'{'; MAX])).unwrap().len(), MAX);
        let bomb = gzip(&vec![b'{'; 4 << 20]);
        assert!(matches!(decode("gzip", bomb), Err(EncodingError::TooLong(MAX))));
    }

    #[test]
    fn damage_and_unknown_codings_are_named() {
        let mut cut = gzip(PLAIN);
        cut.truncate(15);
        assert!(matches!(decode("gzip", cut), Err(EncodingError::Damaged(_))));
        for coding in ["br", "zstd", "gzip, br"] {
            assert!(
                matches!(decode(coding, vec![0x8b, 1, 2]), Err(EncodingError::Unknown)),
                "{coding}"
            );
        }
    }
}

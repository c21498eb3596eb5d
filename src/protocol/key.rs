//! From the target of a request to a key.

use std::borrow::Cow;

use http::request::Parts;
use http::{Version, header};

use crate::error::Class;
use crate::protocol::http_error::HttpError;

/// The key: the path without its first slash, percent-decoded exactly once, query ignored.
///
/// Never collapses `//`, never resolves dots, never decodes twice: two paths that differ are two
/// keys. Refused are broken encoding, control characters and segments that are `.` or `..`, since
/// some program between client and server would resolve them; the longest key is checked by
/// [`crate::cache::EntryName`].
pub(crate) fn decode(parts: &Parts) -> Result<Cow<'_, [u8]>, HttpError> {
    let path = path(parts)?;
    if path.is_empty() {
        return Err(invalid("the path names no key"));
    }
    let key =
        percent_decode(path.as_bytes()).ok_or_else(|| invalid("the path has a broken percent-encoding"))?;
    // To the end in any case, so that many bytes are looked at at once.
    if key
        .iter()
        .fold(false, |found, byte| found | (*byte < 0x20) | (*byte == 0x7f))
    {
        return Err(invalid("the path has control characters"));
    }
    let dotted = |key: &[u8]| {
        key.split(|byte| matches!(byte, b'/' | b'\\'))
            .any(|segment| matches!(segment, b"." | b".."))
    };
    if key.contains(&b'.') && dotted(&key) {
        return Err(invalid("the path has a segment that is a dot or two"));
    }
    Ok(key)
}

/// The path without its first slash, still encoded. Refuses every other form of a target (RFC 9112,
/// section 3.2): `*`, and a URL of another server; those of this one are paths by now
/// ([`Authorities`](super::authorities)). HTTP/2 always carries an authority.
pub(super) fn path(parts: &Parts) -> Result<&str, HttpError> {
    let proxied = parts.version < Version::HTTP_2 && parts.uri.authority().is_some();
    if proxied && parts.uri.scheme().is_some() {
        return Err(HttpError::new(
            Class::Misdirected,
            "the target of the request is a URL of another server than this one, which is no proxy",
        ));
    }
    let path = parts.uri.path().strip_prefix('/').filter(|_| !proxied);
    path.ok_or_else(|| invalid("the target of the request must be a path"))
}

/// Refuses what names no server, or several (RFC 9112, section 3.2).
pub(super) fn host(parts: &Parts) -> Result<(), HttpError> {
    if parts.version == Version::HTTP_11 && parts.headers.get_all(header::HOST).iter().count() != 1 {
        return Err(invalid("the request must have exactly one Host header"));
    }
    Ok(())
}

/// Why a key has no name: it is too long (an empty one never gets that far).
pub(super) fn out_of_range() -> HttpError {
    HttpError::new(Class::NameTooLong, "the key has more than 1024 bytes")
}

fn invalid(text: &'static str) -> HttpError {
    HttpError::new(Class::Invalid, text)
}

/// Strict: `%` must be followed by two hexadecimal digits. `percent_encoding` lets other text pass.
fn percent_decode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'%') {
        return Some(text.into());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(*bytes.next()?)? << 4 | hex(*bytes.next()?)?,
            byte => *byte,
        });
    }
    Some(decoded.into())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, StatusCode};

    fn check(target: &str, expected: Result<&[u8], StatusCode>) {
        let (parts, ()) = Request::get(target)
            .header("host", "x")
            .body(())
            .expect(target)
            .into_parts();
        let found = decode(&parts).map_err(|failure| failure.status());
        assert_eq!(found.as_deref(), expected.as_ref().map(|key| *key), "{target}");
    }

    #[test]
    fn keys_are_decoded_exactly_once() {
        check("/a", Ok(b"a"));
        check("/a/b", Ok(b"a/b"));
        check("/a%2Fb", Ok(b"a/b"));
        check("/a%252Fb", Ok(b"a%2Fb"));
        check("//a", Ok(b"/a"));
        check("/a//b/", Ok(b"a//b/"));
        check("/a+b?c=d", Ok(b"a+b"));
        check("/%ff%C3", Ok(b"\xff\xc3"));
        check("/a..b/...", Ok(b"a..b/..."));
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        for target in [
            "/",
            "/%",
            "/%z",
            "/%zz",
            "/a%0",
            "/a%00b",
            "/%0a",
            "/%7f",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e%2e/a",
            "/a/%2E%2e",
            "/a%2f..%2fb",
            "/a%5c..%5cb",
            "*",
        ] {
            check(target, Err(StatusCode::BAD_REQUEST));
        }
        check("http://other/a", Err(StatusCode::MISDIRECTED_REQUEST));
    }
}

//! The framing of request bodies (RFC 9112, section 6).

use http::request::Parts;
use http::{HeaderMap, Version, header};

use super::http_error::HttpError;
use crate::error::Class;

/// Refuses a body whose framing is not undone here: any other coding would be stored as if it were the body
/// (RFC 9112, section 6.1).
pub(crate) fn check(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next();
    let is_chunked = first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if first.is_none() || (is_chunked && codings.next().is_none()) {
        return Ok(());
    }
    Err(HttpError::new(
        Class::Invalid,
        "the only known Transfer-Encoding is chunked",
    ))
}

/// Refuses a body to store whose end could be meant to be that of the connection: with HTTP/1.0 it may, without a
/// length (RFC 1945, section 7.2.2), and an empty entry would be stored. From HTTP/1.1 on a request without any length
/// has no body (RFC 9112, section 6.3), and curl and hyper send an empty one so. HTTP/2 marks the end of every body.
pub(crate) fn check_stored(parts: &Parts) -> Result<(), HttpError> {
    match parts.version {
        Version::HTTP_09 | Version::HTTP_10 => check_length(parts),
        _ => check(&parts.headers),
    }
}

/// The same for a protocol that demands a length (RFC 9110, section 15.5.12), as Azure's storage does, but for HTTP/2.
pub(crate) fn check_length(parts: &Parts) -> Result<(), HttpError> {
    let headers = &parts.headers;
    check(headers)?;
    let framed =
        headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    if framed || parts.version >= Version::HTTP_2 {
        return Ok(());
    }
    Err(HttpError::new(
        Class::LengthRequired,
        "the request needs a Content-Length, or Transfer-Encoding: chunked",
    ))
}

/// Why a body that ended early was not taken.
pub(crate) fn truncated() -> HttpError {
    HttpError::new(
        Class::Truncated,
        "the body ended before it was complete; nothing was stored",
    )
}

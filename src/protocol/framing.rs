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

/// Refuses a body to store that says neither how long it is nor that it comes in chunks (RFC 9110, section 15.5.12).
/// Up to HTTP/1.1 such a request has no body (RFC 9112, section 6.3): most likely its sender meant to end it by closing
/// the connection, and an empty entry would be stored. Who stores an empty one says `Content-Length: 0`. HTTP/2 marks
/// the end of every body.
pub(crate) fn check_stored(parts: &Parts) -> Result<(), HttpError> {
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

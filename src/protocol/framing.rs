//! The framing of request bodies (RFC 9112, section 6).

use http::{HeaderMap, header};

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

/// Why a body that ended early was not taken.
pub(crate) fn truncated() -> HttpError {
    HttpError::new(
        Class::Truncated,
        "the body ended before it was complete; nothing was stored",
    )
}

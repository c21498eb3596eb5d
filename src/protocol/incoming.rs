//! How the bodies of requests are framed.

use http::HeaderMap;
use http::header;

use super::http_error::HttpError;
use crate::error::Class;

/// Whether the framing is one that is undone here: any other coding would be stored as if it were the
/// body (RFC 9112, section 6.1).
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match codings.next() {
        None => true,
        Some(coding) => codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
    }
}

/// Why a body is refused for which [`is_plain`] does not hold.
pub(crate) fn unknown_coding() -> HttpError {
    HttpError::new(Class::Invalid, "the only known Transfer-Encoding is chunked")
}

/// Why a body that ended early was not taken.
pub(crate) fn truncated() -> HttpError {
    HttpError::new(
        Class::Truncated,
        "the body ended before it was complete; nothing was stored",
    )
}

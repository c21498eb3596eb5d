//! The bodies of requests, piece by piece.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header;
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt;

use super::app::App;
use super::http_error::HttpError;
use crate::error::Class;

/// The next bytes of a body; `None` at its proper end.
///
/// # Errors
/// The client paused for too long, or left.
pub(crate) async fn next(app: &App, body: &mut Body) -> Result<Option<Bytes>, HttpError> {
    loop {
        let frame = tokio::time::timeout(app.limits().body_idle_timeout, body.frame()).await;
        match frame {
            Err(_) => return Err(HttpError::new(Class::Timeout, "the body did not arrive in time")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(truncated()),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// The whole of a body that says what to do, of at most `most` bytes. Refused early if it announces more;
/// what the client still sends is discarded then.
///
/// # Errors
/// As [`next`], and if the body is too long, or framed in a way that is not undone here.
pub(crate) async fn small(app: &App, parts: &Parts, mut body: Body, most: usize) -> Result<Bytes, HttpError> {
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length > most as u64) || !is_plain(&parts.headers) {
        app.discard(parts, body);
        return Err(match is_plain(&parts.headers) {
            true => too_long(most),
            false => unknown_coding(),
        });
    }
    let result = gather(app, &mut body, most).await;
    if result.is_err() {
        app.discard_begun(body);
    }
    result
}

async fn gather(app: &App, body: &mut Body, most: usize) -> Result<Bytes, HttpError> {
    let Some(first) = next(app, body).await? else {
        return Ok(Bytes::new());
    };
    let mut whole = BytesMut::from(first);
    while whole.len() <= most {
        match next(app, body).await? {
            Some(data) => whole.extend_from_slice(&data),
            None => return Ok(whole.freeze()),
        }
    }
    Err(too_long(most))
}

fn too_long(most: usize) -> HttpError {
    HttpError::new(
        Class::TooLarge,
        format!("the body of this request may have {most} bytes at most"),
    )
}

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

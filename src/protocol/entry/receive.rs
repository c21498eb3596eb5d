//! Receiving a body into an upload: the part of every write that does not depend on the protocol.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::auth::Identity;
use crate::cache::{EntryName, Upload};
use crate::error::Class;
use crate::protocol::app::App;
use crate::protocol::plain::Failure;
use crate::store::{Meta, Metadata, Precondition};
use crate::telemetry::access::Early;

/// What came of a write, and how many bytes of the body were taken.
pub struct Received {
    /// Bytes of the body that arrived.
    pub bytes: u64,
    /// The stored entry, or why there is none.
    pub result: Result<Arc<Meta>, Failure>,
}

/// Stores the body of a request under `name` in the caller's first namespace.
///
/// A body is complete when `Content-Length` bytes or the last chunk were read, and in no other case
/// (RFC 9112, section 8); everything else leaves nothing behind. When the write is refused, what the
/// client still sends is discarded, so that it can read why.
pub async fn receive(
    app: &App,
    caller: &Identity,
    name: &EntryName,
    parts: &Parts,
    mut body: Body,
    precondition: Precondition,
    metadata: Metadata,
) -> Received {
    let expected = body.size_hint().exact();
    let mut upload = match open(app, caller, name, &parts.headers, expected, precondition).await {
        Ok(upload) => upload,
        Err(failure) => {
            app.discard(parts, body);
            return Received {
                bytes: 0,
                result: Err(failure),
            };
        }
    };
    *upload.metadata_mut() = metadata;
    let mut bytes = 0;
    let early = parts.extensions.get::<Arc<Early>>();
    let result = fill(app, upload, &mut body, &mut bytes, early.map(|early| &**early)).await;
    if result.is_err() {
        app.discard_begun(body);
    }
    Received { bytes, result }
}

/// Everything that can be refused before the body is touched, so before `100 Continue`.
async fn open(
    app: &App,
    caller: &Identity,
    name: &EntryName,
    headers: &HeaderMap,
    expected: Option<u64>,
    precondition: Precondition,
) -> Result<Upload, Failure> {
    if !caller.may_write {
        return Err(Failure::new(
            Class::Forbidden,
            "this token may read, but not write",
        ));
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110, section 14.5: a part must not be stored as if it were the whole.
        return Err(Failure::new(
            Class::Invalid,
            "Content-Range is not allowed on a write",
        ));
    }
    if !is_plain(headers) {
        return Err(Failure::new(
            Class::Invalid,
            "the only known Transfer-Encoding is chunked",
        ));
    }
    let limit = app.max_entry_size();
    if let Some(size) = expected.filter(|size| *size > limit) {
        return Err(Failure::too_large(size, limit));
    }
    Ok(app.cache().begin(caller, name, expected, precondition).await?)
}

/// Whether the framing is one that is undone here: any other coding would be stored as if it were the
/// body (RFC 9112, section 6.1).
fn is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match codings.next() {
        None => true,
        Some(coding) => codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
    }
}

async fn fill(
    app: &App,
    mut upload: Upload,
    body: &mut Body,
    bytes: &mut u64,
    early: Option<&Early>,
) -> Result<Arc<Meta>, Failure> {
    let expected = body.size_hint().exact();
    let limit = app.max_entry_size();
    while let Some(data) = next(app, body).await? {
        *bytes += data.len() as u64;
        if let Some(early) = early {
            early.received(data.len() as u64);
        }
        if *bytes > limit {
            return Err(Failure::too_large(*bytes, limit));
        }
        upload.write(data).await?;
    }
    if expected.is_some_and(|expected| expected != *bytes) {
        return Err(truncated());
    }
    Ok(upload.commit().await?)
}

/// The next bytes of a body; `None` at its proper end.
async fn next(app: &App, body: &mut Body) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = tokio::time::timeout(app.limits().body_idle_timeout, body.frame()).await;
        match frame {
            Err(_) => return Err(Failure::new(Class::Timeout, "the body did not arrive in time")),
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

fn truncated() -> Failure {
    Failure::new(
        Class::Truncated,
        "the body ended before it was complete; nothing was stored",
    )
}

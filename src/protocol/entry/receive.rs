//! Receiving a body into an upload: the part of every write that does not depend on the protocol.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body::Body as _;

use crate::auth::Identity;
use crate::cache::actions::{self, BlockWriter};
use crate::cache::{EntryName, Upload};
use crate::error::Class;
use crate::protocol::app::App;
use crate::protocol::entry::conditions;
use crate::protocol::http_error::HttpError;
use crate::protocol::incoming;
use crate::store::{self, Meta, Metadata};
use crate::telemetry::access::Early;

/// What came of a write, and how many bytes of the body were taken.
pub struct Received<T = Arc<Meta>, E = HttpError> {
    /// Bytes of the body that arrived.
    pub bytes: u64,
    /// The stored entry, or why there is none.
    pub result: Result<T, E>,
}

/// Stores the body of a request under `name` in the caller's first namespace, if the conditions of the request hold.
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
    metadata: Metadata,
) -> Received {
    let expected = body.size_hint().exact();
    let mut upload = match open(app, caller, name, &parts.headers, expected).await {
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
    let filled = pour(
        app,
        &mut upload,
        &mut body,
        &mut bytes,
        early.map(|early| &**early),
    )
    .await;
    let result = match filled {
        Ok(()) => upload.commit().await.map_err(HttpError::from),
        Err(failure) => Err(failure),
    };
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
) -> Result<Upload, HttpError> {
    if !caller.may_write {
        return Err(HttpError::new(
            Class::Forbidden,
            "this token may read, but not write",
        ));
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110, section 14.5: a part must not be stored as if it were the whole.
        return Err(HttpError::new(
            Class::Invalid,
            "Content-Range is not allowed on a write",
        ));
    }
    if !incoming::is_plain(headers) {
        return Err(incoming::unknown_coding());
    }
    let limit = app.max_entry_size();
    if let Some(size) = expected.filter(|size| *size > limit) {
        return Err(HttpError::too_large(size, limit));
    }
    let precondition = conditions::change(headers)?;
    Ok(app.cache().begin(caller, name, expected, precondition).await?)
}

/// Where the bytes of a body go.
pub(super) trait Sink {
    /// Why it takes no more.
    type Error;

    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl Sink for Upload {
    type Error = store::Error;

    fn write(&mut self, bytes: Bytes) -> impl Future<Output = store::Result<()>> + Send {
        Upload::write(self, bytes)
    }
}

impl Sink for BlockWriter {
    type Error = actions::Error;

    fn write(&mut self, bytes: Bytes) -> impl Future<Output = actions::Result<()>> + Send {
        BlockWriter::write(self, bytes)
    }
}

/// Reads a body to its end, as far as the limits of one request allow, and counts its bytes.
pub(super) async fn pour<S, E>(
    app: &App,
    sink: &mut S,
    body: &mut Body,
    bytes: &mut u64,
    early: Option<&Early>,
) -> Result<(), E>
where
    S: Sink,
    E: From<HttpError> + From<S::Error>,
{
    let expected = body.size_hint().exact();
    let limit = app.max_entry_size();
    while let Some(data) = incoming::next(app, body).await? {
        *bytes += data.len() as u64;
        if let Some(early) = early {
            early.received(data.len() as u64);
        }
        if *bytes > limit {
            return Err(HttpError::too_large(*bytes, limit).into());
        }
        sink.write(data).await?;
    }
    if expected.is_some_and(|expected| expected != *bytes) {
        return Err(incoming::truncated().into());
    }
    Ok(())
}

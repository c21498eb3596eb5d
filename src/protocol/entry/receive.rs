//! Receiving a body into an upload: the part of every write that does not depend on the protocol.

use std::sync::Arc;

use bytes::Bytes;
use http::header;

use crate::auth::Identity;
use crate::cache::actions::{self, BlockPlace, BlockWriter, UploadId};
use crate::cache::{EntryName, EntryUpload};
use crate::error::Class;
use crate::protocol::call::Call;
use crate::protocol::entry::conditions;
use crate::protocol::framing;
use crate::protocol::gha::GhaError;
use crate::protocol::http_error::HttpError;
use crate::store::{self, Meta, Metadata};

/// Stores the body of a request under `name` in the caller's first namespace, if the conditions of the request hold.
///
/// A body is complete when `Content-Length` bytes or the last chunk were read, and in no other case
/// (RFC 9112, section 8); everything else leaves nothing behind.
///
/// # Errors
/// Why nothing was stored.
pub async fn receive(
    call: &mut Call,
    caller: &Identity,
    name: &EntryName,
    metadata: Metadata,
) -> Result<Arc<Meta>, HttpError> {
    let mut upload = open(call, caller, name).await?;
    *upload.metadata_mut() = metadata;
    copy_body::<_, HttpError>(call, &mut upload).await?;
    let stored = upload.commit().await?;
    call.record.tier = stored.tier.as_str();
    Ok(stored.meta)
}

/// Everything that can be refused before the body is touched, so before `100 Continue`.
async fn open(call: &mut Call, caller: &Identity, name: &EntryName) -> Result<EntryUpload, HttpError> {
    let headers = &call.parts.headers;
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
    framing::check_stored(&call.parts)?;
    let expected = call.body.length();
    let limit = call.app.max_entry_size();
    if let Some(size) = expected.filter(|size| *size > limit) {
        return Err(HttpError::too_large(size, limit));
    }
    let precondition = conditions::change(headers)?;
    let cache = call.app.cache();
    Ok(cache.begin(caller, name, expected, precondition).await?)
}

/// Takes the body of a request into an upload, `length` bytes if the client says how many in another
/// way than by the framing. The caller of this function has checked that the client may.
///
/// As for [`receive()`], a body counts when it is complete, and in no other case.
pub(crate) async fn put_block(
    call: &mut Call,
    id: UploadId,
    place: BlockPlace,
    length: Option<u64>,
) -> Result<(), GhaError> {
    let length = check_block(call, &place, length)?;
    let mut writer = call.app.actions().stage(id, place, length).await?;
    copy_body::<_, GhaError>(call, &mut writer).await?;
    call.record.tier = writer.finish().await?.as_str();
    Ok(())
}

/// Everything that can be refused before the body is touched, so before `100 Continue`. Gives the length
/// of the body, if that is known.
fn check_block(call: &Call, place: &BlockPlace, length: Option<u64>) -> Result<Option<u64>, GhaError> {
    framing::check_stored(&call.parts)?;
    let framed = call.body.length();
    if length.is_some() && framed.is_some() && length != framed {
        return Err(GhaError::invalid(
            "Content-Length and Content-Range differ in the number of bytes",
        ));
    }
    let length = length.or(framed);
    let offset = match place {
        BlockPlace::At(offset) => *offset,
        BlockPlace::Whole | BlockPlace::Block(_) => 0,
    };
    let limit = call.app.max_entry_size();
    match length.map(|length| offset.saturating_add(length)) {
        Some(end) if end > limit => Err(HttpError::too_large(end, limit).into()),
        _ => Ok(length),
    }
}

/// Where the bytes of a body go.
trait BodySink {
    /// Why it takes no more.
    type Error;

    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Resolves when others need the room of what came so far: nothing more is taken then.
    fn revoked(&self) -> impl Future<Output = Self::Error> + Send;
}

impl BodySink for EntryUpload {
    type Error = store::Error;

    fn write(&mut self, bytes: Bytes) -> impl Future<Output = store::Result<()>> + Send {
        EntryUpload::write(self, bytes)
    }

    fn revoked(&self) -> impl Future<Output = store::Error> + Send {
        EntryUpload::revoked(self)
    }
}

impl BodySink for BlockWriter {
    type Error = actions::Error;

    fn write(&mut self, bytes: Bytes) -> impl Future<Output = actions::Result<()>> + Send {
        BlockWriter::write(self, bytes)
    }

    fn revoked(&self) -> impl Future<Output = actions::Error> + Send {
        BlockWriter::revoked(self)
    }
}

/// Reads a body to its end, as far as the limits of one request allow.
async fn copy_body<S, E>(call: &mut Call, sink: &mut S) -> Result<(), E>
where
    S: BodySink,
    E: From<HttpError> + From<S::Error>,
{
    let expected = call.body.length();
    let limit = call.app.max_entry_size();
    loop {
        // A client that pauses must not hold room that others need.
        let next = tokio::select! {
            biased;
            next = call.body.next(&call.app) => next?,
            error = sink.revoked() => return Err(error.into()),
        };
        let Some(data) = next else { break };
        let received = call.body.received();
        if received > limit {
            return Err(HttpError::too_large(received, limit).into());
        }
        sink.write(data).await?;
    }
    if expected.is_some_and(|expected| expected != call.body.received()) {
        return Err(framing::truncated().into());
    }
    Ok(())
}

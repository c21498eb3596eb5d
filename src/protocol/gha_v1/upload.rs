//! `POST caches`, `PATCH caches/{id}` and `POST caches/{id}`.

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;

use super::ContentSpan;
use super::error::RestError;
use super::messages::{self, CommitRequest, ReserveRequest, ReserveResponse};
use crate::cache::actions::{BlockPlace, CacheKey, Error, UploadId, Version};
use crate::protocol::app::App;
use crate::protocol::call::{Call, Reply};
use crate::protocol::entry;
use crate::protocol::gha::{self, GhaError, MAX_CALL_BYTES};
use crate::telemetry::access::Outcome;

pub(super) async fn reserve(call: &mut Call) -> Result<Reply, RestError> {
    let caller = gha::writer(call).await?;
    let body = call.small_body(MAX_CALL_BYTES).await?;
    let (key, version, size) = reservation(&call.app, &body)?;
    if let Some(reply) = call.ask_owner_of(&caller, (&key, &version), &body).await {
        return Ok(reply);
    }
    let id = call.app.actions().reserve(&caller, &key, &version, size).await?;
    call.record.outcome = Outcome::Control;
    let response = ReserveResponse { cache_id: id.get() };
    Ok(messages::reply(StatusCode::CREATED, &response))
}

/// Key, version and, if the client declares it, the size.
fn reservation(app: &App, body: &Bytes) -> Result<(CacheKey, Version, Option<u64>), GhaError> {
    let request: ReserveRequest = messages::parse(body)?;
    let (key, version) = (CacheKey::new(&request.key)?, Version::new(&request.version)?);
    let size = request.cache_size.and_then(|size| u64::try_from(size).ok());
    gha::check_size(app, size.unwrap_or(0))?;
    Ok((key, version, size))
}

/// Takes a chunk. The toolkit sends it without `Content-Length`, so its length is that of `Content-Range`.
/// Chunks come in any order, and again when the client did not get the answer.
pub(super) async fn put_chunk(call: &mut Call, id: Option<UploadId>) -> Result<Reply, RestError> {
    let auth = gha::upload_auth(call).await?;
    let id = known(id)?;
    if let Some(reply) = call.forward_to_owner(id, Some(&auth)).await? {
        return Ok(reply);
    }
    call.app.actions().may_upload(&auth, id)?;
    let span = ContentSpan::of(&call.parts.headers)?;
    entry::put_block(call, id, BlockPlace::At(span.start), Some(span.length)).await?;
    Ok(no_content(call, Outcome::Control))
}

pub(super) async fn commit(call: &mut Call, id: Option<UploadId>) -> Result<Reply, RestError> {
    let auth = gha::upload_auth(call).await?;
    let id = known(id)?;
    if let Some(reply) = call.forward_to_owner(id, Some(&auth)).await? {
        return Ok(reply);
    }
    let body = call.small_body(MAX_CALL_BYTES).await?;
    let CommitRequest { size } = messages::parse(&body)?;
    gha::check_size(&call.app, size)?;
    call.app.actions().commit(&auth, id, size).await?;
    Ok(no_content(call, Outcome::Stored))
}

fn no_content(call: &mut Call, outcome: Outcome) -> Reply {
    call.record.outcome = outcome;
    Reply::new(StatusCode::NO_CONTENT, Body::empty())
}

fn known(id: Option<UploadId>) -> Result<UploadId, GhaError> {
    id.ok_or(GhaError::Cache(Error::UnknownUpload))
}

//! `PUT` and `POST`: store the body, whatever its media type says (curl posts forms).

use axum::body::Body;
use http::StatusCode;

use super::entry_name;
use crate::auth::Identity;
use crate::protocol::call::{Call, Reply};
use crate::protocol::entry;
use crate::protocol::http_error::HttpError;
use crate::store::Metadata;
use crate::telemetry::access::Outcome;

pub(super) async fn answer(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let name = entry_name(&call.parts)?;
    let meta = entry::receive(call, caller, &name, Metadata::default()).await?;
    call.record.outcome = Outcome::Stored;
    let mut reply = Reply::new(StatusCode::CREATED, Body::empty());
    entry::insert_etag(reply.headers_mut(), &meta.etag);
    Ok(reply)
}

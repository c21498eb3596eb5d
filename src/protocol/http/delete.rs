//! `DELETE`: removes the entry from the caller's first namespace.

use axum::body::Body;
use http::StatusCode;

use super::entry_name;
use crate::auth::Identity;
use crate::error::Class;
use crate::protocol::call::{Call, Reply};
use crate::protocol::entry::conditions;
use crate::protocol::http_error::{self, HttpError};
use crate::telemetry::access::Outcome;

pub(super) async fn answer(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let name = entry_name(&call.parts)?;
    if !caller.may_write {
        return Err(HttpError::new(
            Class::Forbidden,
            "this token may read, but not delete",
        ));
    }
    let precondition = conditions::change(&call.parts.headers)?;
    let cache = call.app.cache();
    if !cache.delete(&caller.scope, &name, precondition).await? {
        return Ok(http_error::not_found(&mut call.record));
    }
    call.record.outcome = Outcome::Deleted;
    Ok(Reply::new(StatusCode::NO_CONTENT, Body::empty()))
}

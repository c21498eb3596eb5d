//! `DELETE`: removes the entry from the caller's first namespace.

use axum::body::Body;
use http::StatusCode;
use http::request::Parts;

use super::entry_name;
use crate::auth::Identity;
use crate::error::Class;
use crate::protocol::app::App;
use crate::protocol::entry::conditions;
use crate::protocol::http_error::HttpError;
use crate::protocol::reply::Reply;
use crate::telemetry::access::{Outcome, RequestRecord};

pub(super) async fn answer(app: &App, caller: &Identity, parts: &Parts, mut record: RequestRecord) -> Reply {
    match remove(app, caller, parts).await {
        Ok(true) => {
            record.outcome = Outcome::Deleted;
            Reply::new(StatusCode::NO_CONTENT, Body::empty(), record)
        }
        Ok(false) => {
            record.outcome = Outcome::Miss;
            Reply::new(StatusCode::NOT_FOUND, Body::from("not found\n"), record)
        }
        Err(failure) => failure.into_reply(record),
    }
}

async fn remove(app: &App, caller: &Identity, parts: &Parts) -> Result<bool, HttpError> {
    let name = entry_name(parts)?;
    if !caller.may_write {
        return Err(HttpError::new(
            Class::Forbidden,
            "this token may read, but not delete",
        ));
    }
    let precondition = conditions::change(&parts.headers)?;
    Ok(app.cache().delete(&caller.scope, &name, precondition).await?)
}

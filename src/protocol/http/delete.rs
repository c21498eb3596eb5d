//! `DELETE`: removes the entry from the caller's first namespace.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;

use super::{entry_name, respond};
use crate::auth::Identity;
use crate::error::Class;
use crate::protocol::app::App;
use crate::protocol::entry::conditions;
use crate::protocol::plain::Failure;
use crate::telemetry::access::{Outcome, Report};

pub(super) async fn answer(app: &App, caller: &Identity, parts: &Parts, mut report: Report) -> Response {
    match remove(app, caller, parts).await {
        Ok(true) => {
            report.outcome = Outcome::Deleted;
            respond(StatusCode::NO_CONTENT, Body::empty(), report)
        }
        Ok(false) => {
            report.outcome = Outcome::Miss;
            respond(StatusCode::NOT_FOUND, Body::from("not found\n"), report)
        }
        Err(failure) => failure.into_response_with(report),
    }
}

async fn remove(app: &App, caller: &Identity, parts: &Parts) -> Result<bool, Failure> {
    let name = entry_name(parts)?;
    if !caller.may_write {
        return Err(Failure::new(
            Class::Forbidden,
            "this token may read, but not delete",
        ));
    }
    let precondition = conditions::change(&parts.headers);
    Ok(app.cache().delete(&caller.scope, &name, precondition).await?)
}

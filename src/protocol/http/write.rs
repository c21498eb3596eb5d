//! `PUT` and `POST`: store the body, whatever its media type says (curl posts forms).

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use super::{entry_name, respond};
use crate::auth::Identity;
use crate::protocol::app::App;
use crate::protocol::entry::{self, conditions};
use crate::store::Metadata;
use crate::telemetry::access::{Outcome, Report};

pub(super) async fn answer(
    app: &App,
    caller: &Identity,
    parts: &Parts,
    body: Body,
    mut report: Report,
) -> Response {
    let name = match entry_name(parts) {
        Ok(name) => name,
        Err(failure) => {
            app.discard(parts, body);
            return failure.into_response_with(report);
        }
    };
    let precondition = conditions::change(&parts.headers);
    let received = entry::receive(app, caller, &name, parts, body, precondition, Metadata::default()).await;
    report.received = received.bytes;
    report.tier = "disk";
    match received.result {
        Ok(meta) => {
            report.outcome = Outcome::Stored;
            let mut response = respond(StatusCode::CREATED, Body::empty(), report);
            if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", meta.etag.as_str())) {
                response.headers_mut().insert(header::ETAG, etag);
            }
            response
        }
        Err(failure) => failure.into_response_with(report),
    }
}

//! Turborepo's remote cache: `/v8/artifacts` (turbo 2.11; the reference service is Vercel's).
//!
//! The team of a request is part of the name of an entry: it takes part in the signature of an
//! artifact, but not in its hash.

mod artifacts;
mod query;

use axum::body::Body;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::Frontend;
use super::call::{Call, Reply};
use super::http_error::{self, HttpError};
use super::path::DecodedPath;
use crate::error::Class;
use crate::telemetry::access::{Outcome, RequestRecord};

const ROOT: &[&str] = &["v8", "artifacts"];

/// How logs and metrics name the paths.
const ARTIFACTS: &str = "/v8/artifacts";
const STATUS: &str = "/v8/artifacts/status";
const EVENTS: &str = "/v8/artifacts/events";
const ARTIFACT: &str = "/v8/artifacts/{hash}";

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "turbo",
        claims: |path| path.after(ROOT) == Some(None) || path.is_child_of(ROOT),
        answer: |mut call| {
            Box::pin(async move {
                let outcome = handle(&mut call).await;
                call.finish(outcome, render)
            })
        },
        fault: http_error::fault,
    }
}

async fn handle(call: &mut Call) -> Result<Reply, HttpError> {
    let route = route(&DecodedPath::of(&call.parts.uri));
    call.record.route = route;
    let caller = call.caller().await?;
    match (route, &call.parts.method) {
        (_, &Method::OPTIONS) => Ok(preflight(call)),
        (STATUS, &Method::GET | &Method::HEAD) => Ok(control(call, r#"{"status":"enabled"}"#)),
        (EVENTS, &Method::POST) => Ok(control(call, "{}")),
        (ARTIFACTS, &Method::POST) => Box::pin(query::query(call, &caller)).await,
        (ARTIFACT, &Method::GET | &Method::HEAD) => artifacts::read(call, &caller).await,
        (ARTIFACT, &Method::PUT | &Method::POST) => Box::pin(artifacts::write(call, &caller)).await,
        _ => Ok(method_not_allowed(call, route)),
    }
}

fn route(path: &DecodedPath<'_>) -> &'static str {
    match path.after(ROOT).flatten() {
        None => ARTIFACTS,
        Some(b"status") => STATUS,
        Some(b"events") => EVENTS,
        Some(_) => ARTIFACT,
    }
}

/// Without `Authorization` among the allowed headers turbo drops the token from the real request.
fn preflight(call: &mut Call) -> Reply {
    call.record.outcome = Outcome::Control;
    let mut reply = Reply::new(StatusCode::OK, Body::empty());
    let headers = reply.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type, User-Agent, x-artifact-duration, x-artifact-tag, x-artifact-sha, x-artifact-dirty-hash, x-artifact-client-ci, x-artifact-client-interactive"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, PUT, POST, OPTIONS"),
    );
    reply
}

fn method_not_allowed(call: &mut Call, route: &str) -> Reply {
    let error = HttpError::new(Class::Invalid, "method not allowed");
    render(error, &mut call.record).method_not_allowed(match route {
        STATUS => "GET, HEAD, OPTIONS",
        ARTIFACT => "GET, HEAD, PUT, POST, OPTIONS",
        _ => "POST, OPTIONS",
    })
}

fn control(call: &mut Call, text: impl Into<Body>) -> Reply {
    call.record.outcome = Outcome::Control;
    as_json(Reply::new(StatusCode::OK, text))
}

fn as_json(mut reply: Reply) -> Reply {
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}

/// An error in Turborepo's form: `{"error":{"code":"...","message":"..."}}`.
fn render(error: HttpError, record: &mut RequestRecord) -> Reply {
    let text = json!({"error": {"code": code(error.class()), "message": error.public()}}).to_string();
    let mut reply = error.render(record);
    *reply.response.body_mut() = Body::from(text);
    as_json(reply)
}

fn code(class: Class) -> &'static str {
    match class {
        Class::Invalid | Class::Truncated | Class::RangeNotSatisfiable => "bad_request",
        Class::LengthRequired => "length_required",
        Class::Misdirected => "misdirected",
        Class::NameTooLong => "name_too_long",
        Class::Unauthenticated => "unauthorized",
        Class::Forbidden => "forbidden",
        Class::PreconditionFailed => "precondition_failed",
        Class::TooLarge => "too_large",
        Class::Timeout => "timeout",
        Class::NoSpace => "no_space",
        Class::TooMany => "too_many_requests",
        Class::Unavailable => "unavailable",
        Class::Internal => "internal",
    }
}

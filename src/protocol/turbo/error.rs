//! Errors in Turborepo's form: `{"error":{"code":"...","message":"..."}}`.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use serde_json::json;

use crate::error::Class;
use crate::protocol::plain::Failure;
use crate::telemetry::access::Report;

pub(super) fn respond(failure: Failure, report: Report) -> Response {
    let text = json!({"error": {"code": code(failure.class()), "message": failure.public()}}).to_string();
    let mut response = failure.into_response_with(report);
    *response.body_mut() = Body::from(text);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn code(class: Class) -> &'static str {
    match class {
        Class::Invalid | Class::Truncated | Class::RangeNotSatisfiable => "bad_request",
        Class::NameTooLong => "name_too_long",
        Class::Unauthenticated => "unauthorized",
        Class::Forbidden => "forbidden",
        Class::PreconditionFailed => "precondition_failed",
        Class::TooLarge => "too_large",
        Class::Timeout => "timeout",
        Class::NoSpace => "no_space",
        Class::Unavailable => "unavailable",
        Class::Internal => "internal",
    }
}

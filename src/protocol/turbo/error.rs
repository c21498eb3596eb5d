//! Errors in Turborepo's form: `{"error":{"code":"...","message":"..."}}`.

use axum::body::Body;
use http::{HeaderValue, header};
use serde_json::json;

use crate::error::Class;
use crate::protocol::call::Reply;
use crate::protocol::http_error::HttpError;
use crate::telemetry::access::RequestRecord;

pub(super) fn render(error: HttpError, record: &mut RequestRecord) -> Reply {
    let text = json!({"error": {"code": code(error.class()), "message": error.public()}}).to_string();
    let mut reply = error.render(record);
    *reply.response.body_mut() = Body::from(text);
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
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

//! Errors of Twirp: always JSON, whatever the form of the request.

use axum::body::Body;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::cache::actions::Error;
use crate::error::Class;
use crate::protocol::http_error::HttpError;
use crate::protocol::reply::Reply;
use crate::protocol::trouble::Trouble;
use crate::telemetry::access::RequestRecord;

/// Why a call was not answered with its message.
#[derive(Debug)]
pub(super) enum Fault {
    /// No such call, or not in this way.
    BadRoute(&'static str),
    /// The body is not the message of this call.
    Malformed,
    /// Everything else.
    Trouble(Trouble),
}

impl<T: Into<Trouble>> From<T> for Fault {
    fn from(trouble: T) -> Self {
        Self::Trouble(trouble.into())
    }
}

pub(super) fn respond(fault: Fault, record: RequestRecord) -> Reply {
    let ((status, code), failure) = match fault {
        Fault::BadRoute(text) => (
            (StatusCode::NOT_FOUND, "bad_route"),
            HttpError::new(Class::Invalid, text),
        ),
        Fault::Malformed => (
            (StatusCode::BAD_REQUEST, "malformed"),
            HttpError::new(Class::Invalid, "the body is not the message of this call"),
        ),
        Fault::Trouble(trouble) => (form(&trouble), trouble.into()),
    };
    let text = body(code, failure.public());
    dress(failure.into_reply(record), status, text)
}

/// The answer when our own code failed.
pub(super) fn fault(record: RequestRecord) -> Reply {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let text = body("internal", "internal error");
    dress(Reply::new(status, Body::empty(), record), status, text)
}

fn dress(mut reply: Reply, status: StatusCode, text: String) -> Reply {
    reply.set_status(status);
    *reply.response.body_mut() = Body::from(text);
    let media = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, media);
    reply
}

/// Twirp has `msg`; BuildKit reads `message`.
fn body(code: &str, text: &str) -> String {
    json!({"code": code, "msg": text, "message": text}).to_string()
}

/// The status and the code of an error. The toolkit repeats a call after 500 and 503 for half a minute.
fn form(trouble: &Trouble) -> (StatusCode, &'static str) {
    match trouble {
        Trouble::Cache(Error::Exists | Error::InUpload) => return (StatusCode::CONFLICT, "already_exists"),
        Trouble::Cache(Error::Ended) => return (StatusCode::CONFLICT, "aborted"),
        Trouble::Cache(Error::UnknownUpload) => return (StatusCode::NOT_FOUND, "not_found"),
        Trouble::Cache(Error::Busy { .. }) => return (StatusCode::TOO_MANY_REQUESTS, "resource_exhausted"),
        other if other.is_lasting() => return (StatusCode::TOO_MANY_REQUESTS, "resource_exhausted"),
        _ => {}
    }
    match trouble.class() {
        Class::Invalid
        | Class::Truncated
        | Class::NameTooLong
        | Class::TooLarge
        | Class::RangeNotSatisfiable => (StatusCode::BAD_REQUEST, "invalid_argument"),
        Class::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Class::Forbidden => (StatusCode::FORBIDDEN, "permission_denied"),
        Class::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "failed_precondition"),
        Class::Timeout => (StatusCode::REQUEST_TIMEOUT, "deadline_exceeded"),
        Class::NoSpace => (StatusCode::TOO_MANY_REQUESTS, "resource_exhausted"),
        Class::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Class::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::actions::NameError;
    use crate::store;
    use serde_json::Value;
    use std::time::Duration;

    async fn check(fault: impl Into<Fault>, status: u16, code: &str) -> Value {
        let mut reply = respond(fault.into(), RequestRecord::default());
        let body = std::mem::take(reply.response.body_mut());
        let bytes = axum::body::to_bytes(body, 1 << 16).await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(reply.response.status(), status, "{body}");
        assert_eq!(reply.response.headers()["content-type"], "application/json");
        assert_eq!(body["code"], code);
        assert_eq!(body["msg"], body["message"]);
        assert_ne!(body["msg"], "");
        body
    }

    #[tokio::test]
    async fn every_error_has_its_code_and_its_status() {
        let busy = Error::Busy {
            retry_after: Duration::from_secs(1),
        };
        let size = Error::Size {
            declared: 1,
            received: 2,
        };
        check(Fault::BadRoute("no"), 404, "bad_route").await;
        check(Fault::Malformed, 400, "malformed").await;
        check(Error::UnknownUpload, 404, "not_found").await;
        check(Error::Ended, 409, "aborted").await;
        check(Error::ReadDenied, 403, "permission_denied").await;
        check(busy, 429, "resource_exhausted").await;
        check(size, 400, "invalid_argument").await;
        check(Error::Incomplete, 400, "invalid_argument").await;
        check(NameError::TooLong, 400, "invalid_argument").await;
        check(Error::Store(store::Error::Stopping), 503, "unavailable").await;
        check(
            HttpError::new(Class::Unauthenticated, "who?"),
            401,
            "unauthenticated",
        )
        .await;
    }

    #[tokio::test]
    async fn an_entry_that_exists_is_told_in_words_too() {
        for error in [Error::Exists, Error::InUpload] {
            let body = check(error, 409, "already_exists").await;
            assert!(body["message"].as_str().unwrap().contains("already exists"));
        }
        let denied = check(Error::ReadDenied, 403, "permission_denied").await;
        assert!(denied["msg"].as_str().unwrap().starts_with("cache read denied:"));
    }

    #[tokio::test]
    async fn a_fault_of_ours_is_json_too() {
        let reply = fault(RequestRecord::default());
        assert_eq!(reply.response.status(), 500);
        assert_eq!(reply.response.headers()["content-type"], "application/json");
        let bytes = axum::body::to_bytes(reply.response.into_body(), 1 << 16)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (&body["code"], &body["msg"]),
            (&json!("internal"), &json!("internal error"))
        );
    }
}

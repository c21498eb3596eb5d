//! Errors of Twirp: always JSON, whatever the form of the request.

use http::StatusCode;
use serde_json::json;

use crate::error::Class;
use crate::protocol::call::Reply;
use crate::protocol::gha::{Dialect, ErrorCase, GhaError, StatusAndCode};
use crate::protocol::http_error::HttpError;
use crate::telemetry::access::RequestRecord;

pub(super) static DIALECT: Dialect = Dialect {
    media_type: "application/json",
    table,
    body,
    code_header: None,
};

const ALREADY_EXISTS: &str = "already_exists";

/// Why a call was not answered with its message.
#[derive(Debug)]
pub(super) enum TwirpError {
    /// No such call, or not in this way.
    BadRoute(&'static str),
    /// The body is not the message of this call.
    Malformed,
    /// Everything else.
    Gha(GhaError),
}

impl<T: Into<GhaError>> From<T> for TwirpError {
    fn from(error: T) -> Self {
        Self::Gha(error.into())
    }
}

impl TwirpError {
    /// The answer; the record learns how this counts.
    pub(super) fn render(self, record: &mut RequestRecord) -> Reply {
        let (row, text) = match self {
            Self::BadRoute(text) => ((StatusCode::NOT_FOUND, "bad_route"), text),
            Self::Malformed => (
                (StatusCode::BAD_REQUEST, "malformed"),
                "the body is not the message of this call",
            ),
            Self::Gha(error) => return DIALECT.answer(error, record),
        };
        DIALECT.render(HttpError::new(Class::Invalid, text).render(record), row, text)
    }
}

/// Twirp has `msg`. BuildKit reads `message`, and beside one it knows the error by `typeKey` alone, by the name that
/// the first generation has for it; everybody else passes over both.
fn body(code: &str, text: &str) -> String {
    let key = match code {
        ALREADY_EXISTS => "ArtifactCacheItemAlreadyExistsException",
        other => other,
    };
    json!({"code": code, "msg": text, "message": text, "typeKey": key}).to_string()
}

/// The toolkit repeats a call after 500 and 503 for half a minute.
fn table(case: ErrorCase) -> StatusAndCode {
    match case {
        ErrorCase::Exists => (StatusCode::CONFLICT, ALREADY_EXISTS),
        ErrorCase::Ended => (StatusCode::CONFLICT, "aborted"),
        ErrorCase::UnknownUpload => (StatusCode::NOT_FOUND, "not_found"),
        ErrorCase::Busy | ErrorCase::Lasting | ErrorCase::Other(Class::NoSpace | Class::TooMany) => {
            (StatusCode::TOO_MANY_REQUESTS, "resource_exhausted")
        }
        ErrorCase::UnknownBlock
        | ErrorCase::TooManyBlocks
        | ErrorCase::Other(
            Class::Invalid
            | Class::Truncated
            | Class::NameTooLong
            | Class::TooLarge
            | Class::RangeNotSatisfiable,
        ) => (StatusCode::BAD_REQUEST, "invalid_argument"),
        ErrorCase::Other(Class::LengthRequired) => (StatusCode::LENGTH_REQUIRED, "invalid_argument"),
        ErrorCase::Other(Class::Misdirected) => (StatusCode::MISDIRECTED_REQUEST, "invalid_argument"),
        ErrorCase::Other(Class::Unauthenticated) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        ErrorCase::Other(Class::Forbidden) => (StatusCode::FORBIDDEN, "permission_denied"),
        ErrorCase::Other(Class::PreconditionFailed) => {
            (StatusCode::PRECONDITION_FAILED, "failed_precondition")
        }
        ErrorCase::Other(Class::Timeout) => (StatusCode::REQUEST_TIMEOUT, "deadline_exceeded"),
        ErrorCase::Other(Class::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ErrorCase::Other(Class::Internal) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::actions::{Error, NameError};
    use crate::store;
    use serde_json::Value;
    use std::time::Duration;

    async fn check(error: impl Into<TwirpError>, status: u16, code: &str) -> Value {
        let mut reply = error.into().render(&mut RequestRecord::default());
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
        check(TwirpError::BadRoute("no"), 404, "bad_route").await;
        check(TwirpError::Malformed, 400, "malformed").await;
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
            assert_eq!(body["typeKey"], "ArtifactCacheItemAlreadyExistsException");
        }
        let denied = check(Error::ReadDenied, 403, "permission_denied").await;
        assert!(denied["msg"].as_str().unwrap().starts_with("cache read denied:"));
    }

    #[tokio::test]
    async fn a_fault_of_ours_is_json_too() {
        let reply = DIALECT.fault();
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

//! Errors as the service of the first generation gives them. Clients read `message`, and BuildKit decides
//! by `typeKey` whether an entry exists already, which is the only error that does not fail its export.

use http::StatusCode;
use serde_json::json;

use crate::error::Class;
use crate::protocol::call::Reply;
use crate::protocol::gha::{Dialect, ErrorCase, GhaError, StatusAndCode};
use crate::telemetry::access::{Outcome, RequestRecord};

const EXISTS: &str = "ArtifactCacheItemAlreadyExistsException";
const ENDED: &str = "ArtifactCacheUploadEndedException";
const NOT_FOUND: &str = "ArtifactCacheNotFoundException";
const INVALID: &str = "InvalidRequestException";

pub(super) static DIALECT: Dialect = Dialect {
    media_type: "application/json; charset=utf-8",
    table,
    body,
    code_header: None,
};

/// Why a request was not answered with what it asked for.
#[derive(Debug)]
pub(super) enum RestError {
    /// There is nothing at this path.
    NoRoute,
    /// The path has only these methods, as `Allow` lists them.
    NoMethod(&'static str),
    /// Everything else.
    Gha(GhaError),
}

impl<T: Into<GhaError>> From<T> for RestError {
    fn from(error: T) -> Self {
        Self::Gha(error.into())
    }
}

impl RestError {
    /// The answer; the record learns how this counts.
    pub(super) fn render(self, record: &mut RequestRecord) -> Reply {
        let (row, message, methods) = match self {
            Self::Gha(error) => return DIALECT.answer(error, record),
            Self::NoRoute => (
                (StatusCode::NOT_FOUND, NOT_FOUND),
                "there is nothing at this path of the cache",
                None,
            ),
            Self::NoMethod(methods) => (
                (StatusCode::METHOD_NOT_ALLOWED, INVALID),
                "this path of the cache has no such method",
                Some(methods),
            ),
        };
        record.outcome = Outcome::Refused;
        let reply = DIALECT.refuse(row, message);
        match methods {
            Some(methods) => reply.method_not_allowed(methods),
            None => reply,
        }
    }
}

fn body(key: &str, message: &str) -> String {
    json!({
        "$id": "1", "innerException": null, "message": message, "typeName": key, "typeKey": key,
        "errorCode": 0, "eventId": 3000,
    })
    .to_string()
}

/// What cannot change soon is never a 5xx: the toolkit would make an error of the step out of it, and repeat
/// 502 to 504.
fn table(case: ErrorCase) -> StatusAndCode {
    match case {
        ErrorCase::Exists => (StatusCode::CONFLICT, EXISTS),
        ErrorCase::Ended | ErrorCase::Other(Class::PreconditionFailed) => (StatusCode::CONFLICT, ENDED),
        ErrorCase::UnknownUpload => (StatusCode::NOT_FOUND, NOT_FOUND),
        ErrorCase::Busy | ErrorCase::Other(Class::TooMany) => {
            (StatusCode::TOO_MANY_REQUESTS, "RequestBlockedException")
        }
        ErrorCase::Lasting => (StatusCode::BAD_REQUEST, "ArtifactCacheStorageException"),
        ErrorCase::UnknownBlock
        | ErrorCase::TooManyBlocks
        | ErrorCase::Other(
            Class::Invalid
            | Class::Truncated
            | Class::NameTooLong
            | Class::TooLarge
            | Class::RangeNotSatisfiable
            | Class::NoSpace,
        ) => (StatusCode::BAD_REQUEST, INVALID),
        ErrorCase::Other(Class::LengthRequired) => (StatusCode::LENGTH_REQUIRED, INVALID),
        ErrorCase::Other(Class::Misdirected) => (StatusCode::MISDIRECTED_REQUEST, INVALID),
        ErrorCase::Other(Class::Unauthenticated) => {
            (StatusCode::UNAUTHORIZED, "UnauthorizedRequestException")
        }
        ErrorCase::Other(Class::Forbidden) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        ErrorCase::Other(Class::Timeout) => (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException"),
        ErrorCase::Other(Class::Unavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException")
        }
        ErrorCase::Other(Class::Internal) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerErrorException")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::actions::Error;
    use crate::protocol::http_error::HttpError;
    use crate::store;
    use serde_json::Value;
    use std::time::Duration;

    async fn answered(error: impl Into<GhaError>) -> (u16, Value, Reply) {
        let mut reply = RestError::from(error).render(&mut RequestRecord::default());
        let body = std::mem::take(reply.response.body_mut());
        let bytes = axum::body::to_bytes(body, 1 << 16).await.unwrap();
        let status = reply.response.status().as_u16();
        (status, serde_json::from_slice(&bytes).unwrap(), reply)
    }

    #[tokio::test]
    async fn an_entry_that_exists_is_told_in_both_ways_that_clients_know() {
        for error in [Error::Exists, Error::InUpload] {
            let (status, body, _) = answered(error).await;
            assert_eq!(status, 409);
            assert_eq!(body["typeKey"], "ArtifactCacheItemAlreadyExistsException");
            assert!(body["message"].as_str().unwrap().contains("already exists"));
            assert_eq!((&body["$id"], &body["eventId"]), (&json!("1"), &json!(3000)));
        }
    }

    #[tokio::test]
    async fn every_error_has_its_status() {
        let no_space = store::Error::NoSpace {
            needed: 1,
            reason: "full".into(),
        };
        let too_large = store::Error::TooLarge { size: 11, limit: 10 };
        for (error, expected) in [
            (Error::UnknownUpload, 404),
            (Error::Ended, 409),
            (Error::WriteDenied, 403),
            (Error::ReadDenied, 403),
            (Error::Hole { at: 3 }, 400),
            (Error::Incomplete, 400),
            (no_space.into(), 400),
            (too_large.into(), 400),
            (store::Error::Stopping.into(), 503),
        ] {
            let named = error.to_string();
            let (status, body, _) = answered(error).await;
            assert_eq!(status, expected, "{named}");
            let key = body["typeKey"].as_str().unwrap();
            assert!(!key.contains("AlreadyExists"), "{named}: {key}");
            assert_ne!(body["message"], "");
        }
    }

    #[tokio::test]
    async fn a_busy_tenant_learns_when_to_come_again() {
        let retry_after = Duration::from_secs(7);
        let (status, _, reply) = answered(Error::Busy { retry_after }).await;
        assert_eq!(status, 429);
        assert_eq!(reply.response.headers()["retry-after"], "7");
    }

    #[tokio::test]
    async fn sizes_are_told() {
        let (_, body, _) = answered(HttpError::too_large(11, 10)).await;
        let message = body["message"].as_str().unwrap();
        assert!(message.contains("11") && message.contains("10"), "{message}");
    }

    #[tokio::test]
    async fn a_fault_of_ours_is_json_too() {
        let reply = DIALECT.fault();
        assert_eq!(reply.response.status(), 500);
        let bytes = axum::body::to_bytes(reply.response.into_body(), 1 << 16)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["message"], "internal error");
    }
}

//! Errors as the service of the first generation gives them. Clients read `message`, and BuildKit decides
//! by `typeKey` whether an entry exists already, which is the only error that does not fail its export.

use axum::body::Body;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::cache::actions::Error;
use crate::error::Class;
use crate::protocol::http_error::HttpError;
use crate::protocol::reply::Reply;
use crate::protocol::trouble::Trouble;
use crate::telemetry::access::RequestRecord;

const EXISTS: &str = "ArtifactCacheItemAlreadyExistsException";
const ENDED: &str = "ArtifactCacheUploadEndedException";
pub(super) const NOT_FOUND: &str = "ArtifactCacheNotFoundException";
pub(super) const INVALID: &str = "InvalidRequestException";

pub(super) fn respond(trouble: Trouble, record: RequestRecord) -> Reply {
    let (status, key) = form(&trouble);
    let failure = HttpError::from(trouble);
    let text = body(key, failure.public());
    dress(failure.into_reply(record), status, text)
}

/// An error that is none of the cache's.
pub(super) fn answer(status: StatusCode, key: &str, message: &str, record: RequestRecord) -> Reply {
    dress(
        Reply::new(status, Body::empty(), record),
        status,
        body(key, message),
    )
}

/// The answer when our own code failed.
pub(super) fn fault(record: RequestRecord) -> Reply {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    answer(status, "InternalServerErrorException", "internal error", record)
}

fn dress(mut reply: Reply, status: StatusCode, text: String) -> Reply {
    reply.set_status(status);
    *reply.response.body_mut() = Body::from(text);
    let form = HeaderValue::from_static("application/json; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, form);
    reply
}

fn body(key: &str, message: &str) -> String {
    json!({
        "$id": "1", "innerException": null, "message": message, "typeName": key, "typeKey": key,
        "errorCode": 0, "eventId": 3000,
    })
    .to_string()
}

/// The status and the type of an error. What cannot change soon is never a 5xx: the toolkit would make an
/// error of the step out of it, and repeat 502 to 504.
fn form(trouble: &Trouble) -> (StatusCode, &'static str) {
    match trouble {
        Trouble::Cache(Error::Exists | Error::InUpload) => return (StatusCode::CONFLICT, EXISTS),
        Trouble::Cache(Error::Ended) => return (StatusCode::CONFLICT, ENDED),
        Trouble::Cache(Error::UnknownUpload) => return (StatusCode::NOT_FOUND, NOT_FOUND),
        Trouble::Cache(Error::Busy { .. }) => {
            return (StatusCode::TOO_MANY_REQUESTS, "RequestBlockedException");
        }
        other if other.is_lasting() => return (StatusCode::BAD_REQUEST, "ArtifactCacheStorageException"),
        _ => {}
    }
    match trouble.class() {
        Class::Invalid
        | Class::Truncated
        | Class::NameTooLong
        | Class::TooLarge
        | Class::RangeNotSatisfiable
        | Class::NoSpace => (StatusCode::BAD_REQUEST, INVALID),
        Class::Unauthenticated => (StatusCode::UNAUTHORIZED, "UnauthorizedRequestException"),
        Class::Forbidden => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        Class::PreconditionFailed => (StatusCode::CONFLICT, ENDED),
        Class::Timeout => (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException"),
        Class::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
        Class::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerErrorException"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;
    use serde_json::Value;
    use std::time::Duration;

    async fn answered(trouble: impl Into<Trouble>) -> (u16, Value, Reply) {
        let mut reply = respond(trouble.into(), RequestRecord::default());
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
            reason: "full",
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
        let reply = fault(RequestRecord::default());
        assert_eq!(reply.response.status(), 500);
        let bytes = axum::body::to_bytes(reply.response.into_body(), 1 << 16)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["message"], "internal error");
    }
}

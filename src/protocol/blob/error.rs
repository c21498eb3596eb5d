//! Errors as Azure's storage gives them: XML, with the code in a header as well.

use std::borrow::Cow;

use axum::body::Body;
use http::{HeaderName, HeaderValue, StatusCode, header};
use quick_xml::escape::escape;

use crate::cache::actions::Error;
use crate::error::Class;
use crate::protocol::http_error::HttpError;
use crate::protocol::reply::Reply;
use crate::protocol::trouble::Trouble;
use crate::telemetry::access::{Outcome, RequestRecord};

const CODE: HeaderName = HeaderName::from_static("x-ms-error-code");

/// Why a request was not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Fault {
    /// For a reason that only this dialect has.
    Refused(&'static Refusal),
    /// Everything else.
    Trouble(Trouble),
}

impl<T: Into<Trouble>> From<T> for Fault {
    fn from(trouble: T) -> Self {
        Self::Trouble(trouble.into())
    }
}

/// One fixed error.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    text: &'static str,
}

impl Refusal {
    pub(super) const FORGED: Self = Self::new(
        403,
        "AuthenticationFailed",
        "the link was not made by this server",
    );
    pub(super) const EXPIRED: Self = Self::new(403, "AuthenticationFailed", "the link has expired");
    pub(super) const OTHER_DIRECTION: Self = Self::new(
        403,
        "AuthorizationPermissionMismatch",
        "the link permits to read or to write, and this is the other one",
    );
    pub(super) const VERB: Self = Self::new(
        405,
        "UnsupportedHttpVerb",
        "a blob has the methods GET, HEAD and PUT",
    );
    pub(super) const NOT_FOUND: Self = Self::new(404, "BlobNotFound", "the entry is not there any more");
    pub(super) const RANGE: Self =
        Self::new(400, "InvalidHeaderValue", "x-ms-range must be one range of bytes");
    pub(super) const KIND: Self = Self::new(
        400,
        "InvalidHeaderValue",
        "the only known x-ms-blob-type is BlockBlob",
    );
    pub(super) const COPY: Self =
        Self::new(400, "UnsupportedHeader", "a blob cannot be copied from elsewhere");
    pub(super) const COMPONENT: Self = Self::new(
        400,
        "InvalidQueryParameterValue",
        "the only known values of comp are block and blocklist",
    );
    pub(super) const BLOCK_ID: Self = Self::new(
        400,
        "InvalidQueryParameterValue",
        "blockid must be the base64 of 1 to 64 bytes",
    );
    pub(super) const NO_BLOCK_ID: Self =
        Self::new(400, "MissingRequiredQueryParameter", "a block needs a blockid");
    pub(super) const XML: Self = Self::new(
        400,
        "InvalidXmlDocument",
        "the body is not the XML of a block list",
    );
    pub(super) const XML_VALUE: Self = Self::new(
        400,
        "InvalidXmlNodeValue",
        "an id in the list is not the base64 of 1 to 64 bytes",
    );
    pub(super) const LIST_TOO_LONG: Self =
        Self::new(400, "BlockListTooLong", "a list has at most 50000 blocks");

    const fn new(status: u16, code: &'static str, text: &'static str) -> Self {
        let status = match StatusCode::from_u16(status) {
            Ok(status) => status,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, code, text }
    }
}

pub(super) fn respond(fault: Fault, mut record: RequestRecord) -> Reply {
    let trouble = match fault {
        Fault::Refused(refusal) => {
            record.outcome = match refusal.status {
                StatusCode::NOT_FOUND => Outcome::Miss,
                _ => Outcome::Refused,
            };
            record.error.get_or_insert_with(|| refusal.text.into());
            let reply = Reply::new(refusal.status, Body::empty(), record);
            return dress(reply, refusal.status, refusal.code, refusal.text.into());
        }
        Fault::Trouble(trouble) => trouble,
    };
    let (status, code) = form(&trouble);
    let failure = HttpError::from(trouble);
    let text = failure.public().to_owned();
    dress(failure.into_reply(record), status, code, text.into())
}

/// The answer when our own code failed.
pub(super) fn fault(record: RequestRecord) -> Reply {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let reply = Reply::new(status, Body::empty(), record);
    dress(reply, status, "InternalError", "internal error".into())
}

/// An answer of the shared reading code in this dialect; what is no error stays as it is.
pub(super) fn translate(reply: Reply) -> Reply {
    match reply.response.status() {
        status @ StatusCode::RANGE_NOT_SATISFIABLE => {
            let text = "the range lies outside of the entry";
            dress(reply, status, "InvalidRange", text.into())
        }
        status @ StatusCode::PRECONDITION_FAILED => {
            let text = "the precondition does not hold";
            dress(reply, status, "ConditionNotMet", text.into())
        }
        _ => reply,
    }
}

fn dress(mut reply: Reply, status: StatusCode, code: &'static str, text: Cow<'static, str>) -> Reply {
    let text = escape(text);
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
    );
    reply.set_status(status);
    *reply.response.body_mut() = Body::from(xml);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers.insert(CODE, HeaderValue::from_static(code));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, PUT"));
    }
    reply
}

/// The status and the code of an error. Azure's SDKs repeat a request after 500 and 503, for many minutes
/// in BuildKit: so what lasts is 507, which they take as final.
fn form(trouble: &Trouble) -> (StatusCode, &'static str) {
    match trouble {
        Trouble::Cache(Error::UnknownUpload) => return (StatusCode::NOT_FOUND, "BlobNotFound"),
        Trouble::Cache(Error::Ended | Error::Exists | Error::InUpload) => {
            return (StatusCode::CONFLICT, "BlobAlreadyExists");
        }
        Trouble::Cache(Error::UnknownBlock) => return (StatusCode::BAD_REQUEST, "InvalidBlockList"),
        Trouble::Cache(Error::TooManyBlocks { .. }) => {
            return (StatusCode::CONFLICT, "BlockCountExceedsLimit");
        }
        other if other.is_lasting() => return (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
        _ => {}
    }
    match trouble.class() {
        Class::Invalid | Class::Truncated | Class::NameTooLong => (StatusCode::BAD_REQUEST, "InvalidInput"),
        Class::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge"),
        Class::Unauthenticated | Class::Forbidden => (StatusCode::FORBIDDEN, "AuthorizationFailure"),
        Class::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "ConditionNotMet"),
        Class::RangeNotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
        Class::Timeout => (StatusCode::REQUEST_TIMEOUT, "OperationTimedOut"),
        Class::NoSpace => (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
        Class::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy"),
        Class::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{self, RemoteFault};
    use std::time::Duration;

    async fn check(fault: impl Into<Fault>, status: u16, code: &str) -> String {
        let mut reply = respond(fault.into(), RequestRecord::default());
        let body = std::mem::take(reply.response.body_mut());
        let bytes = axum::body::to_bytes(body, 1 << 16).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(reply.response.status(), status, "{text}");
        assert_eq!(reply.response.headers()["x-ms-error-code"], code);
        assert_eq!(reply.response.headers()["content-type"], "application/xml");
        let head = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>");
        assert!(
            text.starts_with(&head) && text.ends_with("</Message></Error>"),
            "{text}"
        );
        text
    }

    #[tokio::test]
    async fn every_error_has_its_code_and_its_status() {
        let busy = Error::Busy {
            retry_after: Duration::from_secs(1),
        };
        check(Fault::Refused(&Refusal::FORGED), 403, "AuthenticationFailed").await;
        check(Error::UnknownUpload, 404, "BlobNotFound").await;
        check(Error::Ended, 409, "BlobAlreadyExists").await;
        check(Error::UnknownBlock, 400, "InvalidBlockList").await;
        check(Error::TooManyBlocks { limit: 1 }, 409, "BlockCountExceedsLimit").await;
        check(busy, 503, "ServerBusy").await;
        let large = check(HttpError::too_large(11, 10), 413, "RequestBodyTooLarge").await;
        assert!(large.contains("11") && large.contains("10"), "{large}");
    }

    #[tokio::test]
    async fn only_what_passes_is_worth_another_try() {
        let remote = |fault| Error::Store(store::Error::remote("put", fault, "x"));
        let io = store::Error::io("write", std::io::Error::other("broken"));
        let full = store::Error::NoSpace {
            needed: 1,
            reason: "full",
        };
        check(remote(RemoteFault::Unreachable), 503, "ServerBusy").await;
        check(Error::Store(store::Error::Stopping), 503, "ServerBusy").await;
        check(remote(RemoteFault::Denied), 507, "InsufficientStorage").await;
        check(Error::Store(io), 507, "InsufficientStorage").await;
        check(Error::Store(full), 507, "InsufficientStorage").await;
    }

    #[tokio::test]
    async fn texts_are_escaped() {
        let text = check(HttpError::new(Class::Invalid, "a < b & c"), 400, "InvalidInput").await;
        assert!(text.contains("a &lt; b &amp; c"), "{text}");
    }
}

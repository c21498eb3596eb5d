//! Errors as Azure's storage gives them: XML, with the code in a header as well.

use http::{HeaderName, StatusCode};
use quick_xml::escape::escape;

use crate::error::Class;
use crate::protocol::call::Reply;
use crate::protocol::gha::{Dialect, ErrorCase, GhaError, StatusAndCode};
use crate::telemetry::access::{Outcome, RequestRecord};

pub(super) static DIALECT: Dialect = Dialect {
    media_type: "application/xml",
    table,
    body,
    code_header: Some(HeaderName::from_static("x-ms-error-code")),
};

/// Why a request was not answered with what it asked for.
#[derive(Debug)]
pub(super) enum BlobError {
    /// For a reason that only this dialect has.
    Refused {
        status: StatusCode,
        code: &'static str,
        text: &'static str,
    },
    /// Everything else.
    Gha(GhaError),
}

impl<T: Into<GhaError>> From<T> for BlobError {
    fn from(error: T) -> Self {
        Self::Gha(error.into())
    }
}

impl BlobError {
    pub(super) const FORGED: Self = Self::refused(
        StatusCode::FORBIDDEN,
        "AuthenticationFailed",
        "the link was not made by this server",
    );
    pub(super) const EXPIRED: Self = Self::refused(
        StatusCode::FORBIDDEN,
        "AuthenticationFailed",
        "the link has expired",
    );
    pub(super) const OTHER_DIRECTION: Self = Self::refused(
        StatusCode::FORBIDDEN,
        "AuthorizationPermissionMismatch",
        "the link permits to read or to write, and this is the other one",
    );
    pub(super) const VERB: Self = Self::refused(
        StatusCode::METHOD_NOT_ALLOWED,
        "UnsupportedHttpVerb",
        "a blob has the methods GET, HEAD and PUT",
    );
    pub(super) const NOT_FOUND: Self = Self::refused(
        StatusCode::NOT_FOUND,
        "BlobNotFound",
        "the entry is not there any more",
    );
    pub(super) const RANGE: Self =
        Self::invalid("InvalidHeaderValue", "x-ms-range must be one range of bytes");
    pub(super) const KIND: Self =
        Self::invalid("InvalidHeaderValue", "the only known x-ms-blob-type is BlockBlob");
    pub(super) const COPY: Self =
        Self::invalid("UnsupportedHeader", "a blob cannot be copied from elsewhere");
    pub(super) const COMPONENT: Self = Self::invalid(
        "InvalidQueryParameterValue",
        "the only known values of comp are block and blocklist",
    );
    pub(super) const BLOCK_ID: Self = Self::invalid(
        "InvalidQueryParameterValue",
        "blockid must be the base64 of 1 to 64 bytes",
    );
    pub(super) const NO_BLOCK_ID: Self =
        Self::invalid("MissingRequiredQueryParameter", "a block needs a blockid");
    pub(super) const XML: Self =
        Self::invalid("InvalidXmlDocument", "the body is not the XML of a block list");
    pub(super) const XML_VALUE: Self = Self::invalid(
        "InvalidXmlNodeValue",
        "an id in the list is not the base64 of 1 to 64 bytes",
    );
    pub(super) const LIST_TOO_LONG: Self =
        Self::invalid("BlockListTooLong", "a list has at most 50000 blocks");

    const fn invalid(code: &'static str, text: &'static str) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, code, text)
    }

    const fn refused(status: StatusCode, code: &'static str, text: &'static str) -> Self {
        Self::Refused { status, code, text }
    }

    /// The answer; the record learns how this counts.
    pub(super) fn render(self, record: &mut RequestRecord) -> Reply {
        let (status, code, text) = match self {
            Self::Refused { status, code, text } => (status, code, text),
            Self::Gha(error) => return DIALECT.answer(error, record),
        };
        record.outcome = match status {
            StatusCode::NOT_FOUND => Outcome::Miss,
            _ => Outcome::Refused,
        };
        record.error.get_or_insert_with(|| text.into());
        let reply = DIALECT.refuse((status, code), text);
        match status {
            StatusCode::METHOD_NOT_ALLOWED => reply.method_not_allowed("GET, HEAD, PUT"),
            _ => reply,
        }
    }
}

/// An answer of the shared reading code in this dialect; what is no error stays as it is.
pub(super) fn translate(reply: Reply) -> Reply {
    let (class, text) = match reply.response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => {
            (Class::RangeNotSatisfiable, "the range lies outside of the entry")
        }
        StatusCode::PRECONDITION_FAILED => (Class::PreconditionFailed, "the precondition does not hold"),
        _ => return reply,
    };
    DIALECT.render(reply, table(ErrorCase::Other(class)), text)
}

fn body(code: &str, text: &str) -> String {
    let text = escape(text);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
    )
}

/// Azure's SDKs repeat a request after 500 and 503, for many minutes in BuildKit: so what lasts is 507, which
/// they take as final.
fn table(case: ErrorCase) -> StatusAndCode {
    match case {
        ErrorCase::UnknownUpload => (StatusCode::NOT_FOUND, "BlobNotFound"),
        ErrorCase::Ended | ErrorCase::Exists => (StatusCode::CONFLICT, "BlobAlreadyExists"),
        ErrorCase::UnknownBlock => (StatusCode::BAD_REQUEST, "InvalidBlockList"),
        ErrorCase::TooManyBlocks => (StatusCode::CONFLICT, "BlockCountExceedsLimit"),
        ErrorCase::Lasting | ErrorCase::Other(Class::NoSpace) => {
            (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage")
        }
        ErrorCase::Other(Class::Invalid | Class::Truncated | Class::NameTooLong) => {
            (StatusCode::BAD_REQUEST, "InvalidInput")
        }
        ErrorCase::Other(Class::LengthRequired) => {
            (StatusCode::LENGTH_REQUIRED, "MissingContentLengthHeader")
        }
        ErrorCase::Other(Class::Misdirected) => (StatusCode::MISDIRECTED_REQUEST, "InvalidUri"),
        ErrorCase::Other(Class::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge"),
        ErrorCase::Other(Class::Unauthenticated | Class::Forbidden) => {
            (StatusCode::FORBIDDEN, "AuthorizationFailure")
        }
        ErrorCase::Other(Class::PreconditionFailed) => (StatusCode::PRECONDITION_FAILED, "ConditionNotMet"),
        ErrorCase::Other(Class::RangeNotSatisfiable) => (StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
        ErrorCase::Other(Class::Timeout) => (StatusCode::REQUEST_TIMEOUT, "OperationTimedOut"),
        ErrorCase::Other(Class::TooMany) => (StatusCode::TOO_MANY_REQUESTS, "ServerBusy"),
        ErrorCase::Busy | ErrorCase::Other(Class::Unavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy")
        }
        ErrorCase::Other(Class::Internal) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::actions::Error;
    use crate::protocol::http_error::HttpError;
    use crate::store::{self, RemoteErrorKind};
    use std::time::Duration;

    async fn check(error: impl Into<BlobError>, status: u16, code: &str) -> String {
        let mut reply = error.into().render(&mut RequestRecord::default());
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
        check(BlobError::FORGED, 403, "AuthenticationFailed").await;
        check(Error::UnknownUpload, 404, "BlobNotFound").await;
        check(Error::Ended, 409, "BlobAlreadyExists").await;
        check(Error::UnknownBlock, 400, "InvalidBlockList").await;
        check(Error::TooManyBlocks { limit: 1 }, 409, "BlockCountExceedsLimit").await;
        let text = check(busy, 503, "ServerBusy").await;
        assert!(text.contains("too many uploads"), "{text}");
        let large = check(HttpError::too_large(11, 10), 413, "RequestBodyTooLarge").await;
        assert!(large.contains("11") && large.contains("10"), "{large}");
    }

    #[tokio::test]
    async fn only_what_passes_is_worth_another_try() {
        let remote = |fault| Error::Store(store::Error::remote("put", fault, "x"));
        let io = store::Error::io("write", std::io::Error::other("broken"));
        let full = store::Error::NoSpace {
            needed: 1,
            reason: "full".into(),
        };
        check(remote(RemoteErrorKind::Unreachable), 503, "ServerBusy").await;
        check(Error::Store(store::Error::Stopping), 503, "ServerBusy").await;
        check(remote(RemoteErrorKind::Denied), 507, "InsufficientStorage").await;
        check(Error::Store(io), 507, "InsufficientStorage").await;
        check(Error::Store(full), 507, "InsufficientStorage").await;
    }

    #[tokio::test]
    async fn texts_are_escaped() {
        let text = check(HttpError::new(Class::Invalid, "a < b & c"), 400, "InvalidInput").await;
        assert!(text.contains("a &lt; b &amp; c"), "{text}");
    }
}

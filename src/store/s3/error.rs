//! What an answer of S3, or its absence, means.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::DispatchFailure;
use hyper_util::client::legacy;

use crate::error::chain;
use crate::store::{Error, RemoteErrorKind};

/// Longest text of a server that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 400;

/// Why a request did not do what it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum S3ErrorKind {
    /// There is no such object.
    Missing,
    /// The object is not, or is no longer, what the request asked for.
    Precondition,
    /// Another change of the same object was under way.
    Conflict,
    /// The range is outside of the object.
    OutOfRange,
    /// There is no such multipart upload any more.
    NoUpload,
    /// The server does not know this kind of request.
    Unsupported,
    /// Anything else.
    Remote(RemoteErrorKind),
}

/// A request that did not do what it was for.
#[derive(Debug)]
pub(super) struct S3Error {
    pub(super) kind: S3ErrorKind,
    /// What the server said, for the operator.
    pub(super) text: String,
    /// Whether there was an answer at all.
    pub(super) answered: bool,
}

impl S3Error {
    pub(super) fn new(kind: RemoteErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind: S3ErrorKind::Remote(kind),
            text: text.into(),
            answered: true,
        }
    }

    /// What an error of the SDK means.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|raw| raw.status().as_u16());
        let kind = match error {
            SdkError::TimeoutError(_) => S3ErrorKind::Remote(RemoteErrorKind::Timeout),
            SdkError::DispatchFailure(failure) => S3ErrorKind::Remote(undispatched(failure, error)),
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
                classify(error.code(), status.unwrap_or(0))
            }
            other if find::<CredentialsError>(other).is_some() => {
                S3ErrorKind::Remote(RemoteErrorKind::NoCredentials)
            }
            _ => S3ErrorKind::Remote(RemoteErrorKind::Other),
        };
        let answered = matches!(error, SdkError::ServiceError(_) | SdkError::ResponseError(_));
        let text = match (error.code(), error.message()) {
            (None, None) => chain(error),
            (code, message) => format!("{} {}", code.unwrap_or_default(), message.unwrap_or_default()),
        };
        let status = status.map_or_else(String::new, |status| format!("status {status}: "));
        Self {
            kind,
            text: status + cut(&text),
            answered,
        }
    }

    /// The same as an error of the tier.
    pub(super) fn at(self, operation: &'static str) -> Error {
        match self.kind {
            S3ErrorKind::Precondition => Error::Precondition,
            S3ErrorKind::Remote(kind) => Error::remote(operation, kind, self.text),
            _ => Error::remote(operation, RemoteErrorKind::Other, self.text),
        }
    }

    /// The kind of error, if the answer was none that a correct server gives in the normal course of things.
    pub(super) fn remote_kind(&self) -> Option<RemoteErrorKind> {
        match self.kind {
            S3ErrorKind::Remote(kind) => Some(kind),
            _ => None,
        }
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Why a request got no answer. Only what never had a connection is [`RemoteErrorKind::Unreachable`]: anything
/// else may have been done all the same.
fn undispatched(failure: &DispatchFailure, error: &(dyn std::error::Error + 'static)) -> RemoteErrorKind {
    // The SDK has no type that can be named for these two.
    let text = chain(error);
    let is_connect = |error: &legacy::Error| error.is_connect();
    if find::<CredentialsError>(error).is_some() || text.contains("identity resolver timed out") {
        return RemoteErrorKind::NoCredentials;
    }
    if find(error).is_some_and(is_connect) || text.contains("connect timeout") {
        return RemoteErrorKind::Unreachable;
    }
    match failure.is_timeout() {
        true => RemoteErrorKind::Timeout,
        false => RemoteErrorKind::Other,
    }
}

/// The first error of a type among the causes of another one.
fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// What a code and a status mean. The answer to a HEAD has no code.
pub(super) fn classify(code: Option<&str>, status: u16) -> S3ErrorKind {
    let kind = match (code.unwrap_or_default(), status) {
        ("NoSuchKey" | "NotFound", _) => return S3ErrorKind::Missing,
        ("NoSuchUpload", _) => return S3ErrorKind::NoUpload,
        ("PreconditionFailed", _) => return S3ErrorKind::Precondition,
        ("ConditionalRequestConflict" | "OperationAborted", _) => return S3ErrorKind::Conflict,
        ("InvalidRange", _) => return S3ErrorKind::OutOfRange,
        ("NotImplemented" | "MethodNotAllowed", _) => return S3ErrorKind::Unsupported,
        ("NoSuchBucket", _) => RemoteErrorKind::NoBucket,
        ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed", _)
        | ("IllegalLocationConstraintException", _) => RemoteErrorKind::WrongRegion,
        ("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture", _) => RemoteErrorKind::ClockSkew,
        ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", _) => RemoteErrorKind::Expired,
        ("SlowDown" | "ServiceUnavailable" | "TooManyRequests" | "RequestLimitExceeded", _)
        | ("Throttling" | "ThrottlingException", _) => RemoteErrorKind::Throttled,
        ("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _)
        | ("AllAccessDisabled" | "AccountProblem", _) => RemoteErrorKind::Denied,
        ("RequestTimeout", _) => RemoteErrorKind::Timeout,
        ("BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch", _) => RemoteErrorKind::Damaged,
        (_, 404) => return S3ErrorKind::Missing,
        (_, 409) => return S3ErrorKind::Conflict,
        (_, 412) => return S3ErrorKind::Precondition,
        (_, 416) => return S3ErrorKind::OutOfRange,
        (_, 405 | 501) => return S3ErrorKind::Unsupported,
        (_, 301 | 307 | 308) => RemoteErrorKind::WrongRegion,
        (_, 401 | 403) => RemoteErrorKind::Denied,
        (_, 408 | 504) => RemoteErrorKind::Timeout,
        (_, 429 | 503) => RemoteErrorKind::Throttled,
        _ => RemoteErrorKind::Other,
    };
    S3ErrorKind::Remote(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_before_statuses() {
        let kind = |code, status| match classify(code, status) {
            S3ErrorKind::Remote(kind) => kind,
            other => panic!("{code:?} {status}: {other:?}"),
        };
        use RemoteErrorKind::*;
        assert_eq!(kind(Some("NoSuchBucket"), 404), NoBucket);
        assert_eq!(kind(Some("ExpiredToken"), 400), Expired);
        assert_eq!(kind(Some("RequestTimeTooSkewed"), 403), ClockSkew);
        assert_eq!(kind(Some("AuthorizationHeaderMalformed"), 400), WrongRegion);
        assert_eq!(kind(Some("SignatureDoesNotMatch"), 403), Denied);
        assert_eq!(kind(Some("SlowDown"), 503), Throttled);
        assert_eq!(kind(Some("InternalError"), 500), Other);
        assert_eq!(kind(None, 301), WrongRegion);
        assert_eq!(kind(None, 403), Denied);
        assert_eq!(kind(None, 429), Throttled);
        assert_eq!(kind(None, 500), Other);
    }

    #[test]
    fn answers_of_the_normal_course_are_no_faults() {
        assert_eq!(classify(Some("NoSuchKey"), 404), S3ErrorKind::Missing);
        assert_eq!(classify(None, 404), S3ErrorKind::Missing);
        assert_eq!(classify(Some("NoSuchUpload"), 404), S3ErrorKind::NoUpload);
        assert_eq!(
            classify(Some("PreconditionFailed"), 412),
            S3ErrorKind::Precondition
        );
        assert_eq!(
            classify(Some("ConditionalRequestConflict"), 409),
            S3ErrorKind::Conflict
        );
        assert_eq!(classify(Some("InvalidRange"), 416), S3ErrorKind::OutOfRange);
        assert_eq!(classify(Some("NotImplemented"), 501), S3ErrorKind::Unsupported);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "\u{e4}".repeat(MAX_TEXT_BYTES);
        assert!(cut(&text).len() <= MAX_TEXT_BYTES && !cut(&text).is_empty());
    }
}

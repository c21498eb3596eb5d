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

    /// What an error of the SDK means; `head` is that the answer to the request has no body.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, head: bool) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let raw = error.raw_response();
        let status = raw.map(|raw| raw.status().as_u16());
        let kind = match error {
            SdkError::TimeoutError(_) => S3ErrorKind::Remote(RemoteErrorKind::Timeout),
            SdkError::DispatchFailure(failure) => S3ErrorKind::Remote(undispatched(failure, error)),
            SdkError::ServiceError(_) => {
                classify(code(error, head), status.unwrap_or(0), head || is_moved(raw))
            }
            SdkError::ResponseError(_) => S3ErrorKind::Remote(RemoteErrorKind::Other),
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

/// The code that the server gave. The SDK makes one up for a 404 without a body, which no server of S3 sends but to a
/// HEAD.
fn code<E>(error: &SdkError<E, HttpResponse>, head: bool) -> Option<&str>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let body = error.raw_response().and_then(|raw| raw.body().bytes());
    let made_up = !head && body.is_some_and(<[u8]>::is_empty);
    error.code().filter(|_| !made_up)
}

/// Whether the server has named another region.
fn is_moved(response: Option<&HttpResponse>) -> bool {
    response.is_some_and(|response| response.headers().get("x-amz-bucket-region").is_some())
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
    if find::<CredentialsError>(error).is_some() || chain(error).contains("identity resolver timed out") {
        return RemoteErrorKind::NoCredentials;
    }
    if is_unconnected(error) {
        return RemoteErrorKind::Unreachable;
    }
    match failure.is_timeout() {
        true => RemoteErrorKind::Timeout,
        false => RemoteErrorKind::Other,
    }
}

/// Whether a request never had a connection: nobody has got it.
pub(super) fn is_unconnected(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_connect = |error: &legacy::Error| error.is_connect();
    // The SDK has no type that can be named for the second.
    find(error).is_some_and(is_connect) || chain(error).contains("connect timeout")
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

/// What a code and a status mean. Where `silent`, the answer may come from S3 though it has no code: S3 gives every
/// other refusal one.
pub(super) fn classify(code: Option<&str>, status: u16, silent: bool) -> S3ErrorKind {
    let kind = match (code.unwrap_or_default(), status) {
        (_, 429) => RemoteErrorKind::Throttled,
        (code, _) if code.starts_with("SlowDown") => RemoteErrorKind::Throttled,
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
        ("TooManyRequests" | "RequestLimitExceeded" | "Throttling" | "ThrottlingException", _) => {
            RemoteErrorKind::Throttled
        }
        ("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _)
        | ("AllAccessDisabled" | "AccountProblem", _) => RemoteErrorKind::Denied,
        ("RequestTimeout", _) => RemoteErrorKind::Timeout,
        ("InternalError" | "ServiceUnavailable", _) => RemoteErrorKind::ServerError,
        ("BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch", _) => RemoteErrorKind::Damaged,
        (code, status) => return by_status(status, silent || !code.is_empty()),
    };
    S3ErrorKind::Remote(kind)
}

/// What a status means whose code says nothing more; `ours` is that a server of S3 may have given it.
fn by_status(status: u16, ours: bool) -> S3ErrorKind {
    S3ErrorKind::Remote(match status {
        // A success that cannot be read, a page, a way to another page, a port that speaks TLS.
        302 | 303 => RemoteErrorKind::NotS3,
        200..=299 | 301 | 307 | 308 | 400 | 404 if !ours => RemoteErrorKind::NotS3,
        404 => return S3ErrorKind::Missing,
        409 => return S3ErrorKind::Conflict,
        412 => return S3ErrorKind::Precondition,
        416 => return S3ErrorKind::OutOfRange,
        405 | 501 => return S3ErrorKind::Unsupported,
        301 | 307 | 308 => RemoteErrorKind::WrongRegion,
        401 | 403 => RemoteErrorKind::Denied,
        408 => RemoteErrorKind::Timeout,
        500..=599 => RemoteErrorKind::ServerError,
        _ => RemoteErrorKind::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_before_statuses() {
        let kind = |code, status| match classify(code, status, code.is_none()) {
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
        assert_eq!(kind(Some("SlowDownWrite"), 503), Throttled);
        assert_eq!(kind(Some("AccessDenied"), 429), Throttled);
        assert_eq!(kind(Some("InternalError"), 500), ServerError);
        assert_eq!(kind(Some("XMinioServerNotInitialized"), 503), ServerError);
        assert_eq!(kind(Some("InvalidArgument"), 400), Other);
        assert_eq!(kind(None, 301), WrongRegion);
        assert_eq!(kind(None, 403), Denied);
        assert_eq!(kind(None, 429), Throttled);
        assert_eq!(kind(None, 500), ServerError);
    }

    #[test]
    fn a_refusal_without_a_code_is_none_of_s3_unless_it_can_have_none() {
        let not_s3 = S3ErrorKind::Remote(RemoteErrorKind::NotS3);
        for status in [200, 302, 307, 400, 404] {
            assert_eq!(classify(None, status, false), not_s3, "{status}");
        }
        assert_eq!(classify(None, 404, true), S3ErrorKind::Missing);
        assert_eq!(
            classify(Some("TemporaryRedirect"), 307, false),
            S3ErrorKind::Remote(RemoteErrorKind::WrongRegion)
        );
        // S3 says of some failures only in the body that they are none.
        assert_eq!(
            classify(Some("InternalError"), 200, false),
            S3ErrorKind::Remote(RemoteErrorKind::ServerError)
        );
    }

    #[test]
    fn answers_of_the_normal_course_are_no_faults() {
        let kind = |code, status| classify(Some(code), status, false);
        assert_eq!(kind("NoSuchKey", 404), S3ErrorKind::Missing);
        assert_eq!(kind("NoSuchUpload", 404), S3ErrorKind::NoUpload);
        assert_eq!(kind("PreconditionFailed", 412), S3ErrorKind::Precondition);
        assert_eq!(kind("ConditionalRequestConflict", 409), S3ErrorKind::Conflict);
        assert_eq!(kind("ConcurrentModification", 409), S3ErrorKind::Conflict);
        assert_eq!(kind("InvalidRange", 416), S3ErrorKind::OutOfRange);
        assert_eq!(kind("NotImplemented", 501), S3ErrorKind::Unsupported);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "\u{e4}".repeat(MAX_TEXT_BYTES);
        assert!(cut(&text).len() <= MAX_TEXT_BYTES && !cut(&text).is_empty());
    }
}

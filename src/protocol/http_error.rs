//! Errors as plain text with the status of RFC 9110: the form of every front-end whose protocol
//! does not define one.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use super::reply::Reply;
use crate::auth;
use crate::cache::actions;
use crate::error::{Class, Classify, chain};
use crate::store;
use crate::telemetry::access::{Outcome, RequestRecord};
use crate::telemetry::refusals::Refusal;

/// Memory that is short is given back when requests end or are cut, within seconds.
const MEMORY_RETRY: Duration = Duration::from_secs(2);

/// A request that did not succeed: what the client may know, and what the operator should.
#[derive(Debug)]
pub struct HttpError {
    class: Class,
    public: Cow<'static, str>,
    detail: Option<String>,
    token_sent: bool,
    retry_after: Option<Duration>,
    sizes: Option<(u64, u64)>,
    refusal: Option<Refusal>,
}

impl HttpError {
    /// A fault of the request itself.
    pub fn new(class: Class, public: impl Into<Cow<'static, str>>) -> Self {
        Self {
            class,
            public: public.into(),
            detail: None,
            token_sent: false,
            retry_after: None,
            sizes: None,
            refusal: None,
        }
    }

    /// A body of `size` bytes (as far as it is known) where at most `limit` are accepted.
    pub fn too_large(size: u64, limit: u64) -> Self {
        store::Error::TooLarge { size, limit }.into()
    }

    /// The same with the cause, for the operator only.
    #[must_use]
    pub fn because(mut self, detail: String) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The same with the time after which another try may succeed.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The text for the client.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// What the caller can do about it.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The status of RFC 9110 (507: RFC 4918).
    pub fn status(&self) -> StatusCode {
        match self.class {
            Class::Invalid | Class::Truncated => StatusCode::BAD_REQUEST,
            Class::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Class::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Class::NameTooLong => StatusCode::URI_TOO_LONG,
            Class::Unauthenticated => StatusCode::UNAUTHORIZED,
            Class::Forbidden => StatusCode::FORBIDDEN,
            Class::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Class::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Class::Timeout => StatusCode::REQUEST_TIMEOUT,
            Class::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Class::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// How this counts.
    pub fn outcome(&self) -> Outcome {
        match self.class {
            Class::PreconditionFailed | Class::RangeNotSatisfiable => Outcome::Condition,
            Class::NoSpace | Class::Unavailable | Class::Internal => Outcome::Failed,
            Class::Truncated => Outcome::Cut,
            _ => Outcome::Refused,
        }
    }

    /// The same with `words` in front, if its caller may not do this: some clients look for them.
    #[must_use]
    pub fn in_words(mut self, words: &str) -> Self {
        if self.class == Class::Forbidden {
            self.public = format!("{words}{}", self.public).into();
        }
        self
    }

    /// Notes in the record how this counts, and why it came to it.
    pub fn note(&self, record: &mut RequestRecord) {
        record.outcome = self.outcome();
        record.refusal = self.refusal;
        record.error = Some(self.detail.as_deref().unwrap_or(&self.public).into());
    }

    /// The answer; the record learns how this counts.
    pub fn render(self, record: &mut RequestRecord) -> Reply {
        self.note(record);
        let mut reply = Reply::new(self.status(), self.text());
        let headers = reply.headers_mut();
        let form = if self.sizes.is_some() {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.class == Class::Unauthenticated {
            challenge(headers, self.token_sent);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        reply
    }

    /// Users ask for the numbers when an entry is too large: those go out as JSON.
    fn text(&self) -> String {
        let public = &self.public;
        match self.sizes {
            Some((size, limit)) => {
                format!("{{\"error\":\"{public}\",\"size\":{size},\"limit\":{limit}}}\n")
            }
            None => format!("{public}\n"),
        }
    }
}

/// The answer to a miss.
pub(super) fn not_found(record: &mut RequestRecord) -> Reply {
    record.outcome = Outcome::Miss;
    Reply::new(StatusCode::NOT_FOUND, "not found\n")
}

/// The answer to a method that a path does not have, beside those that it has.
pub(super) fn method_not_allowed(record: &mut RequestRecord, methods: &'static str) -> Reply {
    record.outcome = Outcome::Refused;
    Reply::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n").method_not_allowed(methods)
}

/// The answer of a front-end whose own code failed.
pub(super) fn fault() -> Reply {
    Reply::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
}

/// Basic first: clients that wait for a challenge (Maven) take the first they know. Bazel renews its
/// token when the challenge is not Bearer, or names `invalid_token`.
fn challenge(headers: &mut http::HeaderMap, token_sent: bool) {
    const BASIC: &str = "Basic realm=\"chacha\", charset=\"UTF-8\"";
    const BEARER: &str = "Bearer realm=\"chacha\"";
    const INVALID: &str = "Bearer realm=\"chacha\", error=\"invalid_token\"";
    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC));
    let bearer = if token_sent { INVALID } else { BEARER };
    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(bearer));
}

impl From<auth::Error> for HttpError {
    fn from(error: auth::Error) -> Self {
        Self {
            detail: Some(chain(&error)),
            token_sent: error.is_invalid_token(),
            retry_after: error.retry_after(),
            ..Self::new(error.class(), error.public())
        }
    }
}

impl From<store::Error> for HttpError {
    fn from(error: store::Error) -> Self {
        let sizes = match error {
            store::Error::TooLarge { size, limit } => Some((size, limit)),
            _ => None,
        };
        let retry_after = match error {
            store::Error::OverBound { retry_after, .. } => Some(retry_after),
            store::Error::NoMemory => Some(MEMORY_RETRY),
            _ => None,
        };
        Self {
            detail: Some(chain(&error)),
            retry_after,
            sizes,
            refusal: error.refusal(),
            ..Self::new(error.class(), error.public())
        }
    }
}

impl From<actions::Error> for HttpError {
    fn from(error: actions::Error) -> Self {
        let retry_after = match error {
            actions::Error::Store(error) => return error.into(),
            actions::Error::Busy { retry_after, .. } => Some(retry_after),
            _ => None,
        };
        Self {
            detail: Some(chain(&error)),
            retry_after,
            refusal: error.refusal(),
            ..Self::new(error.class(), error.public())
        }
    }
}

//! Errors as RFC 6749, section 5.2, has them: a code, and a text in a small part of ASCII.

use http::{StatusCode, header};
use serde_json::json;

use super::answer::set_json;
use crate::auth::{self, ExchangeError};
use crate::error::{Class, Classify as _};
use crate::protocol::call::Reply;
use crate::protocol::http_error::{self, HttpError};
use crate::telemetry::access::RequestRecord;

/// Why there is no answer, with the code of the standard.
#[derive(Debug)]
pub(super) struct TokenError {
    code: &'static str,
    status: StatusCode,
    error: HttpError,
}

impl TokenError {
    /// A fault of the request itself.
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            status: StatusCode::BAD_REQUEST,
            error: HttpError::new(Class::Invalid, text.into()),
        }
    }

    /// A parameter is missing, repeated or malformed, or the token is not good.
    pub(super) fn invalid_request(text: impl Into<String>) -> Self {
        Self::new("invalid_request", text)
    }

    /// The answer to a method that a path does not have.
    pub(super) fn method(record: &mut RequestRecord) -> Reply {
        Self::invalid_request("method not allowed").render(record)
    }

    pub(super) fn render(self, record: &mut RequestRecord) -> Reply {
        let text = plain(self.error.public());
        let mut reply = self.error.render(record);
        reply.set_status(self.status);
        if self.status != StatusCode::UNAUTHORIZED {
            reply.headers_mut().remove(header::WWW_AUTHENTICATE);
        }
        set_json(
            &mut reply,
            &json!({ "error": self.code, "error_description": text }),
        );
        reply
    }
}

/// The answer when our own code failed.
pub(super) fn fault() -> Reply {
    let mut reply = http_error::fault();
    set_json(
        &mut reply,
        &json!({ "error": "server_error", "error_description": "internal error" }),
    );
    reply
}

/// What the standard allows in a text.
fn plain(text: &str) -> String {
    let letter = |letter: char| match letter {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => letter,
        _ => '?',
    };
    text.chars().map(letter).collect()
}

impl From<HttpError> for TokenError {
    fn from(error: HttpError) -> Self {
        let code = match error.class() {
            Class::Unauthenticated => "invalid_token",
            Class::Forbidden => "access_denied",
            Class::Unavailable | Class::TooMany | Class::NoSpace => "temporarily_unavailable",
            Class::Internal => "server_error",
            Class::Invalid
            | Class::LengthRequired
            | Class::Misdirected
            | Class::NameTooLong
            | Class::PreconditionFailed
            | Class::TooLarge
            | Class::RangeNotSatisfiable
            | Class::Truncated
            | Class::Timeout => "invalid_request",
        };
        Self {
            code,
            status: error.status(),
            error,
        }
    }
}

/// Of the token in the header of a request that exchanges none.
impl From<auth::Error> for TokenError {
    fn from(error: auth::Error) -> Self {
        HttpError::from(error).into()
    }
}

/// A bad token is `invalid_request`, whatever is wrong with it (RFC 8693, section 2.2.2).
impl From<ExchangeError> for TokenError {
    fn from(error: ExchangeError) -> Self {
        let code = match &error {
            ExchangeError::NotIssued(_) => "unsupported_grant_type",
            ExchangeError::Target | ExchangeError::NoSuchNamespace => "invalid_target",
            ExchangeError::NothingLeft => "invalid_scope",
            ExchangeError::TtlTooShort | ExchangeError::TooLong => "invalid_request",
            ExchangeError::Subject(_) => match error.class() {
                Class::Unavailable => "temporarily_unavailable",
                Class::Internal => "server_error",
                _ => "invalid_request",
            },
        };
        let status = match error.class() {
            Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let error = match error {
            ExchangeError::Subject(error) => error.into(),
            other => HttpError::new(Class::Invalid, other.public()),
        };
        Self { code, status, error }
    }
}

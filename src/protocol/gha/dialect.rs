//! From an error to an answer: the same for every front-end of the Actions cache, except for the table and the
//! form that its [`Dialect`] holds.

use axum::body::Body;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{ErrorCase, GhaError};
use crate::error::Class;
use crate::protocol::call::Reply;
use crate::protocol::http_error::HttpError;
use crate::telemetry::access::RequestRecord;

/// The status of an error, and the code by which clients of a dialect know it.
pub(crate) type StatusAndCode = (StatusCode, &'static str);

/// How one front-end writes errors.
pub(crate) struct Dialect {
    /// The media type of the body.
    pub(crate) media_type: &'static str,
    /// The table of this dialect.
    pub(crate) table: fn(ErrorCase) -> StatusAndCode,
    /// The body, from code and message.
    pub(crate) body: fn(&str, &str) -> String,
    /// The header that repeats the code.
    pub(crate) code_header: Option<HeaderName>,
}

impl Dialect {
    /// The answer to an error that has a row in the table; the record learns how this counts.
    pub(crate) fn answer(&self, error: GhaError, record: &mut RequestRecord) -> Reply {
        let row = (self.table)(error.case());
        let error = HttpError::from(error);
        let message = error.public().to_owned();
        self.render(error.render(record), row, &message)
    }

    /// The answer to a request that does not belong to the dialect.
    pub(crate) fn refuse(&self, row: StatusAndCode, message: &str) -> Reply {
        self.render(Reply::new(row.0, Body::empty()), row, message)
    }

    /// The answer when our own code failed.
    pub(crate) fn fault(&self) -> Reply {
        let row = (self.table)(ErrorCase::Other(Class::Internal));
        self.refuse(row, "internal error")
    }

    /// Puts an answer into this dialect; its other headers stay.
    pub(crate) fn render(&self, mut reply: Reply, (status, code): StatusAndCode, message: &str) -> Reply {
        reply.set_status(status);
        *reply.response.body_mut() = Body::from((self.body)(code, message));
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if let Some(name) = &self.code_header {
            headers.insert(name, HeaderValue::from_static(code));
        }
        reply
    }
}

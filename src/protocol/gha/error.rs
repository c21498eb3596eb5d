//! Why a request of the Actions cache did not succeed, and from there to an answer: the same for every front-end
//! except for the table and the form that its [`Dialect`] holds.

use axum::body::Body;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::cache::actions::{Error, NameError};
use crate::error::{Class, Classify};
use crate::protocol::call::Reply;
use crate::protocol::http_error::HttpError;
use crate::store::{self, RemoteErrorKind};
use crate::telemetry::access::RequestRecord;

/// An error of the Actions cache or of a request to it.
#[derive(Debug)]
pub(crate) enum GhaError {
    /// The request, its credentials or its body.
    Request(HttpError),
    /// The cache.
    Cache(Error),
}

/// The cases of an error that clients of the Actions cache distinguish. The table of every dialect is an
/// exhaustive match over them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ErrorCase {
    /// The entry, or an upload of it, is there already.
    Exists,
    /// The upload has ended.
    Ended,
    /// The caller has no such upload.
    UnknownUpload,
    /// A list of blocks names one that was not uploaded.
    UnknownBlock,
    /// The upload may have no more blocks.
    TooManyBlocks,
    /// The namespace may have no more uploads at this moment.
    Busy,
    /// This server cannot do it, and the same request a little later would fare no better.
    ///
    /// Clients repeat a request after 500 or 503 for half a minute (toolkit) or for many (BuildKit), so
    /// a full disk or wrong credentials for the bucket must be neither.
    Lasting,
    /// Everything else.
    Other(Class),
}

impl GhaError {
    /// A fault of the request itself.
    pub(crate) fn invalid(text: &'static str) -> Self {
        Self::Request(HttpError::new(Class::Invalid, text))
    }

    /// The row of a dialect's table for this error.
    pub(crate) fn case(&self) -> ErrorCase {
        let error = match self {
            Self::Request(error) => return ErrorCase::Other(error.class()),
            Self::Cache(error) => error,
        };
        match error {
            Error::Exists | Error::InUpload => ErrorCase::Exists,
            Error::Ended => ErrorCase::Ended,
            Error::UnknownUpload => ErrorCase::UnknownUpload,
            Error::UnknownBlock => ErrorCase::UnknownBlock,
            Error::TooManyBlocks { .. } => ErrorCase::TooManyBlocks,
            Error::Busy { .. } => ErrorCase::Busy,
            Error::Store(error) if is_lasting(error) => ErrorCase::Lasting,
            error => ErrorCase::Other(error.class()),
        }
    }
}

fn is_lasting(error: &store::Error) -> bool {
    match error.remote_error_kind() {
        Some(fault) => is_lasting_remotely(fault),
        None => matches!(error, store::Error::NoSpace { .. } | store::Error::Io { .. }),
    }
}

fn is_lasting_remotely(fault: RemoteErrorKind) -> bool {
    match fault {
        RemoteErrorKind::NoCredentials
        | RemoteErrorKind::Expired
        | RemoteErrorKind::Denied
        | RemoteErrorKind::NoBucket
        | RemoteErrorKind::NotS3
        | RemoteErrorKind::WrongRegion
        | RemoteErrorKind::ClockSkew => true,
        RemoteErrorKind::Unreachable
        | RemoteErrorKind::Throttled
        | RemoteErrorKind::ServerError
        | RemoteErrorKind::Timeout
        | RemoteErrorKind::Changed
        | RemoteErrorKind::Damaged
        | RemoteErrorKind::Resting
        | RemoteErrorKind::Other => false,
    }
}

impl From<HttpError> for GhaError {
    fn from(error: HttpError) -> Self {
        Self::Request(error)
    }
}

impl From<Error> for GhaError {
    fn from(error: Error) -> Self {
        Self::Cache(error)
    }
}

impl From<NameError> for GhaError {
    fn from(error: NameError) -> Self {
        Self::Request(HttpError::new(Class::Invalid, error.to_string()))
    }
}

impl From<GhaError> for HttpError {
    fn from(error: GhaError) -> Self {
        match error {
            GhaError::Request(error) => error,
            GhaError::Cache(error) => error.into(),
        }
    }
}

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

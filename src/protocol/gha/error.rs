//! Why a request of the Actions cache did not succeed, before a front-end gives it the form of its protocol.

use crate::cache::actions::{Error, NameError};
use crate::error::{Class, Classify};
use crate::protocol::http_error::HttpError;
use crate::store::{self, RemoteErrorKind};

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
        | RemoteErrorKind::WrongRegion
        | RemoteErrorKind::ClockSkew => true,
        RemoteErrorKind::Unreachable
        | RemoteErrorKind::Throttled
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

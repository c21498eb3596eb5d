//! Why a request of the Actions cache did not succeed, before a front-end gives it the form of its protocol.

use crate::cache::actions::{self, NameError};
use crate::error::Class;
use crate::protocol::http_error::HttpError;
use crate::store::{self, RemoteFault};

/// A failure with what the clients of the Actions cache tell apart beyond its class.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The request, its credentials or its body.
    Request(HttpError),
    /// The cache.
    Cache(actions::Error),
}

impl Trouble {
    /// A fault of the request itself.
    pub(crate) fn invalid(text: &'static str) -> Self {
        Self::Request(HttpError::new(Class::Invalid, text))
    }

    /// What the caller can do about it.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Request(failure) => failure.class(),
            Self::Cache(error) => crate::error::Classify::class(error),
        }
    }

    /// Whether this server cannot do it, and the same request a little later would fare no better.
    ///
    /// Clients repeat a request after 500 or 503 for half a minute (toolkit) or for many (BuildKit), so
    /// these must not tell of a full disk or of wrong credentials for the bucket.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Cache(actions::Error::Store(error)) => match error.remote_fault() {
                Some(fault) => lasts(fault),
                None => matches!(error, store::Error::NoSpace { .. } | store::Error::Io { .. }),
            },
            Self::Request(_) | Self::Cache(_) => false,
        }
    }
}

fn lasts(fault: RemoteFault) -> bool {
    match fault {
        RemoteFault::NoCredentials
        | RemoteFault::Expired
        | RemoteFault::Denied
        | RemoteFault::NoBucket
        | RemoteFault::WrongRegion
        | RemoteFault::ClockSkew => true,
        RemoteFault::Unreachable
        | RemoteFault::Throttled
        | RemoteFault::Timeout
        | RemoteFault::Changed
        | RemoteFault::Damaged
        | RemoteFault::Resting
        | RemoteFault::Other => false,
    }
}

impl From<HttpError> for Trouble {
    fn from(failure: HttpError) -> Self {
        Self::Request(failure)
    }
}

impl From<actions::Error> for Trouble {
    fn from(error: actions::Error) -> Self {
        Self::Cache(error)
    }
}

impl From<NameError> for Trouble {
    fn from(error: NameError) -> Self {
        Self::Request(HttpError::new(Class::Invalid, error.to_string()))
    }
}

impl From<Trouble> for HttpError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Request(failure) => failure,
            Trouble::Cache(error) => error.into(),
        }
    }
}

//! What an attempt to get a key set gives.

use std::fmt;
use std::io;
use std::time::Duration;

use openidconnect::core::CoreJsonWebKeySet;

use super::super::error::printable;
use super::document::DocumentError;
use super::http::IssuerHttpError;

/// The outcome of an attempt.
pub(super) enum FetchedKeys {
    /// A key set, and how long its publisher says that it is fresh.
    New(CoreJsonWebKeySet, Option<Duration>),
    /// The file is the one that was read before.
    Unchanged,
}

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Http(#[from] IssuerHttpError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The issuer's answer is not what it should be. Holds nothing unescaped.
    #[error("{0}")]
    Answer(String),
    #[error("the file with the key set: {0}")]
    File(#[from] io::Error),
    #[error("the issuer did not answer in time")]
    Timeout,
}

impl FetchError {
    /// Takes over what the library says; it may quote the issuer.
    pub(super) fn answer(message: &dyn fmt::Display) -> Self {
        Self::Answer(printable(&message.to_string(), 300))
    }
}

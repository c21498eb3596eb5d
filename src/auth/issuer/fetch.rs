//! The outcome of an attempt to get a key set.

use std::fmt;
use std::io;
use std::time::Duration;

use super::super::error::printable;
use super::document::{DocumentError, PublishedKeys};
use super::http::IssuerHttpError;
use super::token_file::TokenFileError;

/// A good outcome.
pub(super) enum FetchedKeys {
    /// A key set, and the time for which its publisher calls it fresh.
    New(PublishedKeys, Option<Duration>),
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
    /// The issuer's answer is wrong. The text is escaped.
    #[error("{0}")]
    Answer(String),
    #[error("the file with the key set: {0}")]
    File(#[from] io::Error),
    #[error("jwks_token_file: {0}")]
    TokenFile(#[from] TokenFileError),
    #[error("the issuer did not answer in time")]
    Timeout,
}

impl FetchError {
    /// An error with a text of the library, which may quote the issuer.
    pub(super) fn answer(message: &dyn fmt::Display) -> Self {
        Self::Answer(printable(&message.to_string(), 300))
    }
}

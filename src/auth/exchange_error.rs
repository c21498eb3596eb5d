//! Why there is no job token.

use std::borrow::Cow;

use super::error::Error;
use super::job_token::{JobTokenError, NarrowError};
use crate::error::{Class, Classify};

/// Why a token was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// This server makes none.
    #[error("{0}; set job_tokens and signing_key_file")]
    NotIssued(JobTokenError),
    /// The token that is to be exchanged is not good.
    #[error("the token that is to be exchanged: {0}")]
    Subject(#[from] Error),
    /// It is meant for somebody else.
    #[error("the audience or resource is neither this server nor an audience of the provider")]
    Target,
    /// The token has no such namespace.
    #[error("the token that is to be exchanged has no such namespace")]
    NoSuchNamespace,
    /// Nothing of what is asked for is granted.
    #[error("the token that is to be exchanged grants nothing of the scope that is asked for")]
    NothingLeft,
    /// Less than a minute.
    #[error("ttl is a number of seconds, 60 or more")]
    TtlTooShort,
    /// The claims that the rules use, and the namespaces, do not fit.
    #[error("the token would be longer than {max} characters", max = super::job_token::MAX_CHARS)]
    TooLong,
}

impl From<NarrowError> for ExchangeError {
    fn from(error: NarrowError) -> Self {
        match error {
            NarrowError::NoSuchNamespace => Self::NoSuchNamespace,
            NarrowError::NothingLeft => Self::NothingLeft,
        }
    }
}

impl Classify for ExchangeError {
    fn class(&self) -> Class {
        match self {
            Self::Subject(error) => error.class(),
            _ => Class::Invalid,
        }
    }

    fn public(&self) -> Cow<'static, str> {
        match self {
            Self::NotIssued(reason) => reason.to_string().into(),
            Self::Subject(error) => error.public(),
            other => other.to_string().into(),
        }
    }
}

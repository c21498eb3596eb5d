//! What can go wrong in a tier.

use std::borrow::Cow;
use std::io;

use super::RemoteErrorKind;
use crate::error::{Class, Classify};

/// Result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a tier. A miss is not one of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The entry changed, exists or does not exist, against the wish of the caller.
    #[error("the precondition does not hold")]
    Precondition,
    /// The body is larger than the tier can ever hold.
    #[error("a body of {size} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Length of the body in bytes, as far as it is known.
        size: u64,
        /// The largest accepted length in bytes.
        limit: u64,
    },
    /// The volume is full, or all room is reserved by uploads that are still running.
    #[error("no room for {needed} bytes: {reason}")]
    NoSpace {
        /// Bytes that were asked for.
        needed: u64,
        /// What is full, for the operator.
        reason: &'static str,
    },
    /// The operating system refused.
    #[error("{operation}: {source}")]
    Io {
        /// What was tried, for the operator.
        operation: &'static str,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// A remote tier did not do what it was asked for.
    #[error("{operation}: {kind}")]
    Remote {
        /// What was tried, for the operator.
        operation: &'static str,
        /// What kind of error it is.
        kind: RemoteErrorKind,
        /// The answer of the tier.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server is shutting down.
    #[error("the store is shutting down")]
    Stopping,
}

impl Error {
    /// Wraps an error of the operating system; `ENOSPC` and `EDQUOT` become [`Error::NoSpace`].
    pub fn io(operation: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                needed: 0,
                reason: "the volume of the cache directory is full",
            },
            _ => Self::Io { operation, source },
        }
    }

    /// Wraps an error of a remote tier.
    pub fn remote(
        operation: &'static str,
        kind: RemoteErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Remote {
            operation,
            kind,
            source: source.into(),
        }
    }

    /// The kind of error, if a remote tier is the cause.
    pub fn remote_error_kind(&self) -> Option<RemoteErrorKind> {
        match self {
            Self::Remote { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Precondition => Class::PreconditionFailed,
            Self::TooLarge { .. } => Class::TooLarge,
            Self::NoSpace { .. } => Class::NoSpace,
            Self::Io { .. } => Class::Internal,
            Self::Remote { .. } | Self::Stopping => Class::Unavailable,
        }
    }

    fn public(&self) -> Cow<'static, str> {
        match self {
            Self::Precondition => "the precondition does not hold".into(),
            Self::TooLarge { size, limit } => {
                format!("the entry has {size} bytes, the limit is {limit} bytes").into()
            }
            Self::NoSpace { .. } => "the cache has no room for this entry now".into(),
            Self::Io { .. } => "the cache could not do this".into(),
            Self::Remote { .. } => "the shared tier of the cache cannot do this now".into(),
            Self::Stopping => "the server is shutting down".into(),
        }
    }
}

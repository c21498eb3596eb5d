//! The errors of the Actions cache.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{Class, Classify};
use crate::store;
use crate::store::blocks::BlocksError;
use crate::telemetry::refusals::Refusal;

/// Result of an operation of the Actions cache.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the Actions cache. A look-up that finds nothing is not one of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The entry is there already, and never changes.
    #[error("an entry with this key and version exists")]
    Exists,
    /// Another job is uploading it at this moment.
    #[error("an upload of this key and version is running")]
    InUpload,
    /// The token may not write.
    #[error("the token may not write")]
    WriteDenied,
    /// The token may not read.
    #[error("the token may not read")]
    ReadDenied,
    /// No such upload, or not one of this caller's. The caller cannot tell which.
    #[error("there is no such upload")]
    UnknownUpload,
    /// The upload has ended: committed, taken over by another job, or given up.
    #[error("the upload has ended")]
    Ended,
    /// The bytes that arrived are not the ones that were declared.
    #[error("{declared} bytes were declared, {received} arrived")]
    Size {
        /// The length that the client declared, in bytes.
        declared: u64,
        /// The bytes that arrived.
        received: u64,
    },
    /// Not every byte of the archive has arrived.
    #[error("the bytes from {at} on are missing")]
    Hole {
        /// The first missing byte.
        at: u64,
    },
    /// No complete body was uploaded yet.
    #[error("the upload is not complete")]
    Incomplete,
    /// The list names a block that was not staged.
    #[error("the list names a block that was not uploaded")]
    UnknownBlock,
    /// The id of a block is empty or longer than 64 bytes.
    #[error("the id of a block has 1 to 64 bytes")]
    BlockId,
    /// More blocks than one upload may have.
    #[error("an upload has at most {limit} blocks")]
    TooManyBlocks {
        /// The most that are accepted.
        limit: usize,
    },
    /// The namespace has as many running uploads as it may. The text is for clients, too.
    #[error("too many uploads are running in this namespace (gha.max_uploads)")]
    Busy {
        /// Another attempt may succeed after this time.
        retry_after: Duration,
    },
    /// An error of the tiers.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether it is a refusal for what others need as well.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Busy { .. } => Some(Refusal::NamespaceUploads),
            Self::Store(error) => error.refusal(),
            _ => None,
        }
    }
}

impl From<BlocksError> for Error {
    fn from(error: BlocksError) -> Self {
        match error {
            BlocksError::Ended => Self::Ended,
            BlocksError::Size { declared, received } => Self::Size { declared, received },
            BlocksError::Hole { at } => Self::Hole { at },
            BlocksError::Incomplete => Self::Incomplete,
            BlocksError::UnknownBlock => Self::UnknownBlock,
            BlocksError::BlockId => Self::BlockId,
            BlocksError::TooManyBlocks { limit } => Self::TooManyBlocks { limit },
            BlocksError::Store(error) => Self::Store(error),
        }
    }
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Exists | Self::InUpload | Self::Ended => Class::PreconditionFailed,
            Self::WriteDenied | Self::ReadDenied => Class::Forbidden,
            Self::UnknownUpload
            | Self::Size { .. }
            | Self::Hole { .. }
            | Self::Incomplete
            | Self::UnknownBlock
            | Self::BlockId
            | Self::TooManyBlocks { .. } => Class::Invalid,
            Self::Busy { .. } => Class::Unavailable,
            Self::Store(error) => error.class(),
        }
    }

    fn public(&self) -> Cow<'static, str> {
        match self {
            Self::Exists => "Cache already exists.".into(),
            Self::InUpload => "Cache already exists. Another job is uploading it.".into(),
            Self::WriteDenied => "cache write denied: the token may only read".into(),
            Self::ReadDenied => "cache read denied: the token has no scope that it may read".into(),
            Self::Store(error) => error.public(),
            other => other.to_string().into(),
        }
    }
}

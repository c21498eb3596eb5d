//! Where the bytes of one entry come from when they are not on the disk.
//!
//! A source is bound to one entry: a remote tier gives one for a key ([`super::remote::RemoteTier::source`]). What
//! [`super::follow`] makes of it (a file that grows, a stream) is the same for every kind of source.

use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{Meta, Result};

/// Bytes in order, as they arrive, in pieces of any length. Ends after the last byte of its range, or with
/// an error; never early without one. A pause beyond the source's idle timeout is an error.
pub type SourceStream = BoxStream<'static, Result<Bytes>>;

/// An entry that is being read from its beginning.
pub struct SourceOpen {
    /// The description.
    pub meta: Arc<Meta>,
    /// The source's own name of this version (the ETag of S3), for reading more of the same.
    pub version: Arc<str>,
    /// The first bytes of the body.
    pub first: SourceStream,
    /// How many bytes `first` gives: all, or one part of [`ReadPlan::part_size`].
    pub length: u64,
}

impl Debug for SourceOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceOpen")
            .field("meta", &self.meta)
            .field("version", &self.version)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// How a large entry is best read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPlan {
    /// Bytes of one range; a multiple of [`super::spool::Checksums::BLOCK_BYTES`].
    pub part_size: u64,
    /// Ranges at once, at least 1.
    pub parallel: usize,
}

/// One entry that can be read. Made without asking anybody.
#[async_trait]
pub trait EntrySource: Debug + Send + Sync + 'static {
    /// The entry and its first bytes, with one request for whatever is not larger than a part. Returns as
    /// soon as the description is known; `None` is a miss.
    ///
    /// # Errors
    /// [`super::Error::Remote`], also when what is there is not the entry that was asked for.
    async fn open(&self) -> Result<Option<SourceOpen>>;

    /// `range` of the body of exactly this version; `range` lies inside of it and is not empty.
    ///
    /// # Errors
    /// As [`EntrySource::open`], and with [`super::RemoteErrorKind::Changed`] if that version is gone.
    async fn read(&self, version: &str, range: Range<u64>) -> Result<SourceStream>;

    /// How a large entry is best read.
    fn plan(&self) -> ReadPlan;

    /// Whether others wait for what a stream of this source keeps while it is not read.
    fn is_contended(&self) -> bool {
        false
    }
}

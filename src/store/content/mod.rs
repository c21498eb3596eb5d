//! The bytes of an entry: in memory, a range of an open file, or a range of a remote object.
//!
//! A file is immutable, but it may still be growing: bytes that have arrived never change, and a
//! reader waits for the others.
//!
//! A [`FileRange`] says "this range of this open file" and nothing about how it is sent. A transport
//! that can send a file without copying does so; every other one reads [`Content::pieces`].

mod file;
mod holding;
mod pieces;
mod residency;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use file::{EntryFile, FileRange};
pub use holding::{FileHolder, MIN_READ_BYTES, MIN_READ_TIME_SECONDS, SlowReader};
pub use pieces::Pieces;
pub use residency::Residency;

use super::turns::Asker;

/// The bytes of one entry, or a part of them.
#[derive(Debug, Clone)]
pub enum Content {
    /// A small body.
    Memory(Bytes),
    /// A part of a file.
    File(FileRange),
    /// A part of an object that is read as it is sent.
    Remote(RemoteRange),
    /// No bytes, only how many there are: for answers without a body.
    Described(u64),
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(part) => part.len(),
            Self::Remote(part) => part.len(),
            Self::Described(length) => *length,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of these bytes; positions beyond the end are cut.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        match self {
            // A body in memory is far smaller than the address space.
            Self::Memory(bytes) => Self::Memory(bytes.slice(start as usize..end as usize)),
            Self::File(part) => Self::File(part.slice(start..end)),
            Self::Remote(part) => Self::Remote(part.slice(start..end)),
            Self::Described(_) => Self::Described(end - start),
        }
    }

    /// From now on a file is read in the name of `asker`.
    #[must_use]
    pub(crate) fn asked_by(mut self, asker: Asker) -> Self {
        if let Self::File(part) = &mut self {
            part.ask_as(asker);
        }
        self
    }

    /// The bytes in order, a bounded piece at a time, read off the async threads when the disk is cold.
    pub fn pieces(self) -> Pieces {
        Pieces::new(self)
    }
}

/// Where the bytes of a [`RemoteRange`] come from.
pub trait RemoteSource: std::fmt::Debug + Send + Sync + 'static {
    /// The bytes of `range`, in order; an error in the place of what cannot be had.
    fn open(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>>;
}

/// A part of a remote object. Cheap to clone; nothing is asked for before it is read.
#[derive(Debug, Clone)]
pub struct RemoteRange {
    source: Arc<dyn RemoteSource>,
    start: u64,
    end: u64,
}

impl RemoteRange {
    /// `range` counts from the beginning of the body.
    pub fn new(source: Arc<dyn RemoteSource>, range: Range<u64>) -> Self {
        Self {
            source,
            start: range.start,
            end: range.end.max(range.start),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slice(&self, range: Range<u64>) -> Self {
        Self {
            source: Arc::clone(&self.source),
            start: self.start + range.start,
            end: self.start + range.end,
        }
    }

    /// The bytes, from the source.
    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        self.source.open(self.start..self.end)
    }
}

//! Bytes of a remote object.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;

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

    pub(super) fn slice(&self, range: Range<u64>) -> Self {
        Self {
            source: Arc::clone(&self.source),
            start: self.start + range.start,
            end: self.start + range.end,
        }
    }

    /// The bytes, from the source.
    pub(super) fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        self.source.open(self.start..self.end)
    }
}

//! Blocks at known offsets: which of them gives which byte. The later one wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::BlocksError;
use super::block::{Block, Segment};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// By their first byte; they never overlap.
    segments: BTreeMap<u64, Segment>,
    covered: u64,
}

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes of the body that are there.
    pub(super) fn covered(&self) -> u64 {
        self.covered
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values()
    }

    /// The block that gives exactly the bytes from `at` on, all of them.
    pub(super) fn at(&self, at: u64) -> Option<&Arc<Block>> {
        let whole = |segment: &&Segment| segment.is_whole();
        self.segments.get(&at).filter(whole).map(|segment| &segment.block)
    }

    /// Adds a complete block. Answers one handle for each place where another block lost bytes.
    pub(super) fn insert(&mut self, at: u64, block: &Arc<Block>) -> Vec<Arc<Block>> {
        let end = at + block.extent.length;
        let mut lost = Vec::new();
        if at == end {
            return lost;
        }
        while let Some(former) = self.last_before(end).filter(|former| former.end() > at) {
            self.segments.remove(&former.start);
            self.covered -= former.length;
            self.put(former.part(former.start..at.max(former.start)));
            self.put(former.part(end.min(former.end())..former.end()));
            lost.push(former.block);
        }
        self.put(Segment::whole(at, block));
        lost
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Arc<Block>> {
        self.covered = 0;
        let segments = std::mem::take(&mut self.segments);
        segments.into_values().map(|segment| segment.block)
    }

    /// The whole body of `size` bytes.
    pub(super) fn plan(&self, size: u64) -> Result<Vec<Segment>, BlocksError> {
        let received = self.segments.last_key_value().map_or(0, |(_, last)| last.end());
        if received > size {
            return Err(BlocksError::Size {
                declared: size,
                received,
            });
        }
        let mut at = 0;
        for segment in self.segments.values() {
            if segment.start > at {
                return Err(BlocksError::Hole { at });
            }
            at = segment.end();
        }
        match at < size {
            true => Err(BlocksError::Hole { at }),
            false => Ok(self.segments.values().cloned().collect()),
        }
    }

    fn last_before(&self, end: u64) -> Option<Segment> {
        let last = self.segments.range(..end).next_back();
        last.map(|(_, segment)| segment.clone())
    }

    fn put(&mut self, segment: Segment) {
        if segment.length > 0 {
            self.covered += segment.length;
            self.segments.insert(segment.start, segment);
        }
    }
}

//! A complete block: where its bytes are, their checksums, and the part of the body that it gives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::BlocksError;
use super::sums::damaged;
use crate::named::named_enum;
use crate::store::spool::{Checksums, crc};
use crate::sys;

named_enum! {
    /// A file of an upload, in the order in which they are removed: the log goes last. Its name ends the name of
    /// the file.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) enum UploadFile {
        /// The file that becomes the entry if all blocks are at their places.
        Data = "data",
        /// Blocks whose places were taken, or are not known.
        More = "more",
        /// The log itself: short bodies.
        Log = "log",
    }
}

/// Where the bytes of a block are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) file: UploadFile,
    /// Offset in the file, in bytes.
    pub(super) at: u64,
    /// Length in bytes.
    pub(super) length: u64,
}

impl Extent {
    pub(super) fn range(&self) -> Range<u64> {
        self.at..self.at + self.length
    }

    /// What decides where the block is cut for its checksums: blocks at equal places are cut alike.
    pub(super) fn phase(&self) -> u64 {
        match self.file {
            UploadFile::Log => 0,
            _ => self.at % Checksums::BLOCK_BYTES,
        }
    }

    /// The parts that have a checksum each, counted from the beginning of the block: cut at every whole MiB
    /// of the file.
    pub(super) fn parts(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let (phase, length) = (self.phase(), self.length);
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at;
            at = length.min(start + Checksums::BLOCK_BYTES - (phase + start) % Checksums::BLOCK_BYTES);
            (start < length).then_some(start..at)
        })
    }
}

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Which record of the log describes it.
    pub(super) number: u32,
    pub(super) extent: Extent,
    /// CRC-64/NVME of each of [`Extent::parts`].
    pub(super) sums: Box<[u64]>,
}

impl Block {
    /// Whether both hold the same bytes, as far as checksums can tell. "No" if they cannot be compared.
    pub(super) fn equals(&self, extent: &Extent, sums: &[u64]) -> bool {
        self.extent.length == extent.length && self.extent.phase() == extent.phase() && *self.sums == *sums
    }

    /// Blocking: gives `range` of the block to `sink` in order, checked, in pieces of at most a MiB.
    ///
    /// # Errors
    /// `InvalidData` if the bytes are not those that arrived; those of `sink` and of the operating system.
    pub(super) fn read(
        &self,
        file: &File,
        range: Range<u64>,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffer = Vec::new();
        for (part, sum) in self.extent.parts().zip(&self.sums) {
            let wanted = part.start.max(range.start)..part.end.min(range.end);
            if wanted.is_empty() {
                continue;
            }
            buffer.resize((part.end - part.start) as usize, 0);
            sys::read_exact_at(file, &mut buffer, self.extent.at + part.start)?;
            if crc(&buffer) != *sum {
                return Err(damaged());
            }
            sink(&buffer[(wanted.start - part.start) as usize..(wanted.end - part.start) as usize])?;
        }
        Ok(())
    }
}

/// A part of a body, and which part of which block it is.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Offset in the body.
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) block: Arc<Block>,
    /// Offset in the block.
    pub(super) skip: u64,
}

impl Segment {
    pub(super) fn whole(start: u64, block: &Arc<Block>) -> Self {
        Self {
            start,
            length: block.extent.length,
            block: Arc::clone(block),
            skip: 0,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.length
    }

    pub(super) fn is_whole(&self) -> bool {
        self.length == self.block.extent.length
    }

    /// The part that gives `range` of the body, which lies inside of this one.
    pub(super) fn part(&self, range: Range<u64>) -> Self {
        Self {
            start: range.start,
            length: range.end.saturating_sub(range.start),
            block: Arc::clone(&self.block),
            skip: self.skip + (range.start - self.start),
        }
    }

    /// Whether the bytes stand in the data file where they stand in the body.
    pub(super) fn is_in_place(&self) -> bool {
        let extent = &self.block.extent;
        extent.file == UploadFile::Data && extent.at + self.skip == self.start
    }
}

/// Blocks at known offsets: which of them gives which byte. The later one wins.
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

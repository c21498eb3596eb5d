//! The index alone, for `benches/store.rs`, and its snapshot, for `fuzz/`. Not a part of the interface.

use std::io::Cursor;

use super::hot::HotCell;
use super::index::{FileRecord, Index};
use super::snapshot::format::{BatchReader, framed};
use super::snapshot::former::{self, FormerReader};
use crate::store::Digest;
use crate::store::spool::crc;

/// An index without a disk.
#[derive(Debug)]
pub struct IndexProbe {
    index: Index,
    next: u64,
}

impl IndexProbe {
    /// An index of `entries` entries.
    pub fn with_entries(entries: u64) -> Self {
        let mut this = Self {
            index: Index::new(0, 0),
            next: 0,
        };
        (0..entries).for_each(|_| this.insert());
        this
    }

    /// Adds an entry.
    pub fn insert(&mut self) {
        self.next += 1;
        let new = FileRecord {
            digest: digest(self.next),
            generation: self.next,
            stamp: self.next,
            blocks: 1,
        };
        let _full = self.index.commit(new, HotCell::empty());
    }

    /// Evicts the oldest entry.
    pub fn evict(&mut self) {
        for victim in self.index.evict(1, 1) {
            self.index.retired(victim.generation);
        }
        self.index.garbage.clear();
    }

    /// Looks up one of the entries, and makes it the newest.
    pub fn hit(&mut self, nth: u64) -> bool {
        self.next += 1;
        self.index.hit(&digest(nth), self.next).is_some()
    }
}

/// Reads the content of a snapshot, of this version and of a former one; answers how many rows it has.
pub fn read_snapshot(bytes: &[u8]) -> usize {
    let (mut batches, mut rows) = (BatchReader::new(bytes), 0);
    while let Ok(Some(batch)) = batches.next() {
        rows += batch.rows();
    }
    if let Ok(Some(mut former)) = FormerReader::open(Cursor::new(bytes)) {
        while let Ok(Some(batch)) = former.next() {
            rows += batch.rows();
        }
    }
    rows
}

/// Snapshots, of this version and of the former one, of which everything but heads and checksums comes from `bytes`.
pub fn sealed_snapshots(bytes: &[u8]) -> [Vec<u8>; 2] {
    let mut record = [b"CHIx\x01", bytes].concat();
    let sum = crc(&record);
    record.extend_from_slice(&sum.to_le_bytes());
    let mut former = [former::MAGIC.as_slice(), bytes].concat();
    let sum = crc(former.get(16..).unwrap_or_default());
    former.extend_from_slice(&sum.to_le_bytes());
    [framed(&record), former]
}

pub(super) fn digest(nth: u64) -> Digest {
    Digest::of(&nth.to_le_bytes())
}

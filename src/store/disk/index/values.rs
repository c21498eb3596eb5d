//! What goes into the index and comes out of it.

use std::sync::Arc;

use crate::store::Digest;
use crate::store::budget::BLOCK_BYTES;
use crate::store::disk::hot::{HotCell, HotRow};
use crate::store::disk::slab::Slot;
use crate::store::shares::NumberedTenancy;

/// What a look-up finds.
#[derive(Debug)]
pub(in crate::store::disk) enum LookUp {
    Absent,
    /// It has no cell yet.
    Cold,
    Found(IndexHit),
}

/// A look-up that found something.
#[derive(Debug)]
pub(in crate::store::disk) struct IndexHit {
    pub(in crate::store::disk) generation: u64,
    /// Written or checked by this process.
    pub(in crate::store::disk) trusted: bool,
    pub(in crate::store::disk) cell: Arc<HotCell>,
}

impl IndexHit {
    pub(super) fn new(slot: &Slot, cell: &Arc<HotCell>) -> Self {
        Self {
            generation: slot.generation,
            trusted: slot.trusted,
            cell: Arc::clone(cell),
        }
    }
}

impl From<HotRow> for IndexHit {
    fn from(row: HotRow) -> Self {
        let HotRow { generation, cell, .. } = row;
        // Nobody opens what is open.
        let trusted = false;
        Self {
            generation,
            trusted,
            cell,
        }
    }
}

/// What the index must hold under a digest for a change to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::disk) enum ExpectedVersion {
    /// Anything.
    Any,
    /// This generation, or nothing.
    Exactly(Option<u64>),
}

impl ExpectedVersion {
    pub(in crate::store::disk) fn fits(self, current: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => expected == current,
        }
    }
}

/// The index holds as many entries as it can number.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::disk) struct IndexFull;

/// A file of an entry: as a snapshot or a scan describes it, or as it leaves the index to be unlinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::disk) struct FileRecord {
    pub(in crate::store::disk) digest: Digest,
    pub(in crate::store::disk) generation: u64,
    pub(in crate::store::disk) stamp: u64,
    pub(in crate::store::disk) blocks: u32,
    /// Whom it belongs to; `None` if nobody has read that yet.
    pub(in crate::store::disk) belongs: Option<NumberedTenancy>,
}

impl FileRecord {
    pub(in crate::store::disk) fn bytes(&self) -> u64 {
        u64::from(self.blocks) * BLOCK_BYTES
    }
}

impl From<&Slot> for FileRecord {
    fn from(slot: &Slot) -> Self {
        Self {
            digest: slot.digest,
            generation: slot.generation,
            stamp: slot.last_used(),
            blocks: slot.blocks,
            belongs: slot.belongs,
        }
    }
}

/// What the index did with a file that a scan found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::disk) enum ScanOutcome {
    /// Known; its size was wrong by so many bytes.
    Known(i64),
    /// Not known before; it takes so many bytes more than the older version that it replaces.
    Added(i64),
    /// The same, and the scan has met the older version before: unlink that one.
    Replaced(i64, u64),
    /// There is a newer version: unlink this one.
    Older,
    /// It is being unlinked.
    Retiring,
}

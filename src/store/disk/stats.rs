//! Figures for metrics and for the operator.

use std::sync::atomic::{AtomicU64, Ordering};

use super::core::Core;
use crate::store::budget::BLOCK;

/// The tier at one moment. Bytes are counted as `du` counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskStats {
    /// Bytes in use, with folders and with files that are out of the index but not yet unlinked.
    pub used: u64,
    /// Bytes promised to bodies that are being written.
    pub reserved: u64,
    /// The configured limit in bytes.
    pub limit: u64,
    /// Entries in the index.
    pub entries: usize,
    /// Bytes of entries that are not evicted because another tier does not have them yet.
    pub pinned: u64,
    /// Entries evicted since the start.
    pub evictions: u64,
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
    /// Entries found torn, damaged or foreign since the start, and removed.
    pub corrupt: u64,
    /// Whether the scan of the start is still running.
    pub indexing: bool,
    /// Entries that can be answered without touching the disk's folders.
    pub hot_entries: usize,
    /// Bytes held in memory for them.
    pub hot_bytes: u64,
    /// Files held open for them.
    pub open_files: usize,
    /// Files that could not be unlinked and are tried again.
    pub stuck_files: usize,
}

/// What only grows.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) evictions: AtomicU64,
    pub(super) evicted_bytes: AtomicU64,
    pub(super) corrupt: AtomicU64,
}

impl Core {
    /// See [`super::Disk::stats`].
    pub(super) fn stats(&self) -> DiskStats {
        let (used, reserved) = self.budget.figures();
        let (entries, pinned, (hot_entries, hot_bytes, open_files)) =
            self.index(|index| (index.len(), index.pinned_blocks() * BLOCK, index.hot_figures()));
        DiskStats {
            used,
            reserved,
            limit: self.budget.limit(),
            entries,
            pinned,
            evictions: self.counters.evictions.load(Ordering::Relaxed),
            evicted_bytes: self.counters.evicted_bytes.load(Ordering::Relaxed),
            corrupt: self.counters.corrupt.load(Ordering::Relaxed),
            indexing: !self.scan.done.is_cancelled(),
            hot_entries,
            hot_bytes,
            open_files,
            stuck_files: self.unlink_retry.len(),
        }
    }
}

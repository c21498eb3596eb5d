//! Figures for metrics and for the operator.

use std::sync::atomic::AtomicU64;

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
pub(super) struct DiskCounters {
    pub(super) evictions: AtomicU64,
    pub(super) evicted_bytes: AtomicU64,
    pub(super) corrupt: AtomicU64,
}

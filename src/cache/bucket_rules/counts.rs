//! Figures for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was noted and removed since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketRulesStats {
    /// Rows of use that the bucket does not have yet.
    pub pending: usize,
    /// Rows that it got.
    pub noted: u64,
    /// Rows that found no room.
    pub dropped: u64,
    /// Passes that came to their end.
    pub passes: u64,
    /// Passes that did not.
    pub failed_passes: u64,
    /// Entries that were removed.
    pub removed: u64,
    /// Bytes of their bodies.
    pub removed_bytes: u64,
}

/// What only grows. See [`BucketRulesStats`].
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) noted: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) passes: AtomicU64,
    pub(super) failed_passes: AtomicU64,
    pub(super) removed: AtomicU64,
    pub(super) removed_bytes: AtomicU64,
}

impl Counts {
    pub(super) fn stats(&self, pending: usize) -> BucketRulesStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        BucketRulesStats {
            pending,
            noted: read(&self.noted),
            dropped: read(&self.dropped),
            passes: read(&self.passes),
            failed_passes: read(&self.failed_passes),
            removed: read(&self.removed),
            removed_bytes: read(&self.removed_bytes),
        }
    }
}

/// Adds to a count.
pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

//! Figures for metrics.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;

use super::TieredCore;
use crate::store::{Error, StoreKey};
use crate::telemetry::seldom::is_time;

/// Both tiers together at one moment; counters count from the start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TieredStats {
    /// Entries that are being fetched.
    pub filling: usize,
    /// Fetches from the remote tier.
    pub fills: u64,
    /// Reads that joined the fetch of another reader.
    pub joined: u64,
    /// Fetches that failed.
    pub failed_fills: u64,
    /// Entries that were streamed because the disk had no room.
    pub streamed: u64,
    /// Bytes fetched for the disk.
    pub fetched_bytes: u64,
    /// Local copies that were compared with the remote tier.
    pub revalidated: u64,
    /// Of those, copies that another server had replaced or deleted.
    pub replaced: u64,
    /// Changes that the remote tier does not have yet.
    pub queued: usize,
    /// Bytes on the disk that wait for their upload, as `du` counts.
    pub queued_bytes: u64,
    /// For how long the oldest of them has been waiting.
    pub queue_age: Duration,
    /// Uploads from the queue that succeeded.
    pub uploads: u64,
    /// Attempts of the queue that failed.
    pub failed_uploads: u64,
    /// Entries that waited and were dropped, because another server had stored one under their key first.
    pub conflicts: u64,
}

/// What only grows. See [`TieredStats`].
#[derive(Debug, Default)]
pub(super) struct TieredCounters {
    pub(super) fills: Counter,
    pub(super) joined: Counter,
    pub(super) failed_fills: Counter,
    pub(super) streamed: Counter,
    pub(super) fetched_bytes: Counter,
    pub(super) revalidated: Counter,
    pub(super) replaced: Counter,
    pub(super) uploads: Counter,
    pub(super) failed_uploads: Counter,
    pub(super) conflicts: Counter,
    /// When the queue has complained last.
    pub(super) complained: AtomicU64,
}

impl TieredCore {
    /// Says that a change in the queue could not be done, once a minute at most.
    pub(super) fn complain(&self, entry: &StoreKey, error: &Error) {
        if !is_time(&self.counters.complained) {
            return;
        }
        let (waiting, _) = self.queue.figures();
        let error = error as &dyn std::error::Error;
        tracing::warn!(
            error,
            entry = entry.short(),
            waiting,
            "a change that waits could not be sent to the shared tier; it is tried again, and so are the others"
        );
    }

    pub(super) fn stats(&self) -> TieredStats {
        let counters = &self.counters;
        let (queued, oldest) = self.queue.figures();
        let age = oldest.and_then(|since| SystemTime::now().duration_since(since).ok());
        TieredStats {
            filling: self.fills.len(),
            fills: counters.fills.get(),
            joined: counters.joined.get(),
            failed_fills: counters.failed_fills.get(),
            streamed: counters.streamed.get(),
            fetched_bytes: counters.fetched_bytes.get(),
            revalidated: counters.revalidated.get(),
            replaced: counters.replaced.get(),
            queued,
            queued_bytes: self.local.stats().pinned,
            queue_age: age.unwrap_or_default(),
            uploads: counters.uploads.get(),
            failed_uploads: counters.failed_uploads.get(),
            conflicts: counters.conflicts.get(),
        }
    }
}

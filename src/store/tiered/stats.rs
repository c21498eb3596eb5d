//! Figures for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::TieredCore;

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
}

/// What only grows.
#[derive(Debug, Default)]
pub(super) struct TieredCounters {
    fills: AtomicU64,
    joined: AtomicU64,
    failed_fills: AtomicU64,
    streamed: AtomicU64,
    fetched_bytes: Arc<AtomicU64>,
    revalidated: AtomicU64,
    replaced: AtomicU64,
    uploads: AtomicU64,
    failed_uploads: AtomicU64,
}

macro_rules! count {
    ($($name:ident: $field:ident),*) => { $(
        pub(super) fn $name(&self) {
            self.$field.fetch_add(1, Ordering::Relaxed);
        }
    )* };
}

impl TieredCounters {
    count!(
        filled: fills, joined: joined, fill_failed: failed_fills, streamed: streamed, revalidated: revalidated,
        replaced: replaced, uploaded: uploads, upload_failed: failed_uploads
    );

    /// For transfers, which count what they fetch.
    pub(super) fn fetched_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.fetched_bytes)
    }

    pub(super) fn fetched(&self, bytes: u64) {
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl TieredCore {
    pub(super) fn stats(&self) -> TieredStats {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let counters = &self.counters;
        let (queued, oldest) = self.queue.figures();
        let age = oldest.and_then(|since| SystemTime::now().duration_since(since).ok());
        TieredStats {
            filling: self.fills.len(),
            fills: read(&counters.fills),
            joined: read(&counters.joined),
            failed_fills: read(&counters.failed_fills),
            streamed: read(&counters.streamed),
            fetched_bytes: read(&counters.fetched_bytes),
            revalidated: read(&counters.revalidated),
            replaced: read(&counters.replaced),
            queued,
            queued_bytes: self.local.stats().pinned,
            queue_age: age.unwrap_or_default(),
            uploads: read(&counters.uploads),
            failed_uploads: read(&counters.failed_uploads),
        }
    }
}

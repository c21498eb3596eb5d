//! When a local copy was last known to be what the far tier has.

use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use crate::store::disk::Digest;

/// Copies that are remembered; one that is forgotten is compared once more.
const MOST: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Fresh {
    after: Duration,
    seen: Cache<Digest, Instant>,
}

impl Fresh {
    /// A copy has to be compared when it was not for `after`.
    pub(super) fn new(after: Duration) -> Self {
        Self {
            after,
            seen: Cache::builder().max_capacity(MOST).time_to_live(after).build(),
        }
    }

    /// Whether the copy under `digest` has to be compared before it is served.
    pub(super) fn is_due(&self, digest: &Digest) -> bool {
        self.seen.get(digest).is_none_or(|at| at.elapsed() >= self.after)
    }

    /// The copy is what the far tier had at `at` or later. Take the time before asking.
    pub(super) fn note(&self, digest: &Digest, at: Instant) {
        self.seen.insert(*digest, at);
    }
}

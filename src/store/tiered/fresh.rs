//! When a local copy was last known to be what the far tier has.

use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use crate::store::Digest;

/// How long a copy is served after the far tier could not be asked about it.
const GRACE: Duration = Duration::from_secs(5);
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

    /// The far tier could not be asked: the copy is served for a while, without everybody waiting again.
    pub(super) fn postpone(&self, digest: &Digest) {
        let now = Instant::now();
        let at = now.checked_sub(self.after.saturating_sub(GRACE)).unwrap_or(now);
        self.seen.insert(*digest, at);
    }

    /// The copy is what the far tier had at `at` or later. Take the time before asking.
    pub(super) fn note(&self, digest: &Digest, at: Instant) {
        self.seen.insert(*digest, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_due_after_its_time_and_sooner_when_nobody_could_be_asked() {
        let fresh = Fresh::new(Duration::from_secs(60));
        let digest = Digest::new([1; 32]);
        assert!(fresh.is_due(&digest));
        fresh.note(&digest, Instant::now());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!fresh.is_due(&digest));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(fresh.is_due(&digest));
        fresh.postpone(&digest);
        tokio::time::advance(GRACE - Duration::from_millis(1)).await;
        assert!(!fresh.is_due(&digest));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(fresh.is_due(&digest));
    }
}

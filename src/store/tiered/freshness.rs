//! When a local copy was last known to be what the remote tier has.

use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use crate::store::{Digest, Protocol, StoreKey};

/// How long a copy is served after the remote tier could not be asked about it.
const GRACE_INTERVAL: Duration = Duration::from_secs(5);
/// Copies that are remembered; one that is forgotten is compared once more.
const MAX_COPIES: u64 = 1 << 20;
/// With [`Revalidation::Always`]: an entry of the Actions cache is never overwritten. It is compared only because
/// the remote tier may have lost it, and another one may have been stored since.
const ACTIONS_INTERVAL: Duration = Duration::from_secs(300);

/// When a copy on the disk is compared with the remote tier before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revalidation {
    /// Never: a copy is served until it is evicted.
    Never,
    /// When it was not compared for so long. If the remote tier cannot be asked, the copy is served.
    After(Duration),
    /// At every read, as if there were no disk: what cannot be compared is not served. Entries of the Actions
    /// cache, which are never overwritten, are compared now and then.
    Always,
}

impl Revalidation {
    /// How long a comparison counts; `None`: for ever.
    fn interval(self, key: &StoreKey) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(interval) => Some(interval),
            Self::Always if key.protocol() == Protocol::Gha => Some(ACTIONS_INTERVAL),
            Self::Always => Some(Duration::ZERO),
        }
    }

    /// Whether a copy that cannot be compared is not served.
    pub(super) fn is_strict(self, key: &StoreKey) -> bool {
        self == Self::Always && key.protocol() != Protocol::Gha
    }

    /// The longest of all intervals.
    fn longest(self) -> Duration {
        match self {
            Self::Never => Duration::ZERO,
            Self::After(interval) => interval,
            Self::Always => ACTIONS_INTERVAL,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Freshness {
    revalidation: Revalidation,
    seen: Cache<Digest, Instant>,
    /// Suspect copies that were compared in this run.
    cleared: Cache<Digest, ()>,
}

impl Freshness {
    pub(super) fn new(revalidation: Revalidation) -> Self {
        let seen = Cache::builder()
            .max_capacity(MAX_COPIES)
            .time_to_live(revalidation.longest())
            .build();
        let cleared = Cache::new(MAX_COPIES);
        Self {
            revalidation,
            seen,
            cleared,
        }
    }

    /// Whether a copy that a power loss made suspect was not compared since. Entries of the Actions cache are never
    /// overwritten, so they cannot be older ones.
    pub(super) fn is_unclear(&self, key: &StoreKey) -> bool {
        key.protocol() != Protocol::Gha && !self.cleared.contains_key(key.digest())
    }

    /// What was compared before counts no more.
    pub(super) fn doubt(&self) {
        self.cleared.invalidate_all();
    }

    /// The copy is what the remote tier has.
    pub(super) fn clear(&self, key: &StoreKey) {
        self.cleared.insert(*key.digest(), ());
    }

    /// Since when a copy must have been compared to be served now; `None` if that does not matter.
    pub(super) fn needed_since(&self, key: &StoreKey) -> Option<Instant> {
        let interval = self.revalidation.interval(key)?;
        let now = Instant::now();
        Some(now.checked_sub(interval).unwrap_or(now))
    }

    /// Whether the copy under `key` was not compared after `since`.
    pub(super) fn is_due(&self, key: &StoreKey, since: Instant) -> bool {
        self.seen.get(key.digest()).is_none_or(|at| at <= since)
    }

    /// The remote tier could not be asked: the copy is served for a while, and other readers do not wait again.
    pub(super) fn postpone(&self, key: &StoreKey) {
        let now = Instant::now();
        let interval = self.revalidation.interval(key).unwrap_or_default();
        let at = now
            .checked_sub(interval.saturating_sub(GRACE_INTERVAL))
            .unwrap_or(now);
        self.seen.insert(*key.digest(), at);
    }

    /// The copy is what the remote tier had at `at` or later. Take the time before asking.
    pub(super) fn note(&self, key: &StoreKey, at: Instant) {
        if self.revalidation != Revalidation::Never {
            self.seen.insert(*key.digest(), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(protocol: Protocol) -> StoreKey {
        StoreKey::new("issuer".into(), "namespace".into(), protocol, *b"key")
    }

    fn is_due(freshness: &Freshness, key: &StoreKey) -> bool {
        let since = freshness.needed_since(key);
        since.is_some_and(|since| freshness.is_due(key, since))
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_due_after_its_time_and_sooner_when_nobody_could_be_asked() {
        let freshness = Freshness::new(Revalidation::After(Duration::from_secs(60)));
        let key = key(Protocol::Http);
        assert!(is_due(&freshness, &key));
        freshness.note(&key, Instant::now());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!is_due(&freshness, &key));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(is_due(&freshness, &key));
        freshness.postpone(&key);
        tokio::time::advance(GRACE_INTERVAL - Duration::from_millis(1)).await;
        assert!(!is_due(&freshness, &key));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(is_due(&freshness, &key));
    }

    #[tokio::test(start_paused = true)]
    async fn every_read_is_compared_but_those_of_entries_that_are_never_overwritten() {
        let freshness = Freshness::new(Revalidation::Always);
        let (plain, actions) = (key(Protocol::Http), key(Protocol::Gha));
        for key in [&plain, &actions] {
            assert!(is_due(&freshness, key));
            freshness.note(key, Instant::now());
        }
        assert!(is_due(&freshness, &plain) && !is_due(&freshness, &actions));
        assert!(Revalidation::Always.is_strict(&plain) && !Revalidation::Always.is_strict(&actions));
        tokio::time::advance(ACTIONS_INTERVAL).await;
        assert!(is_due(&freshness, &actions));
        let never = Freshness::new(Revalidation::Never);
        assert!(!is_due(&never, &plain));
    }
}

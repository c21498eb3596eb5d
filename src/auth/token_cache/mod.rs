//! The identities behind tokens that were verified a moment ago, so that the next request with such a token costs
//! a look-up.
//!
//! Invariants: an identity is forgotten at the end of the token's life, after five minutes, or when the key that
//! signed the token is withdrawn, whichever comes first. A reload makes another cache. Failures are not cached: a flood of bad tokens cannot push
//! out good ones.

mod per_thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use self::per_thread::CachedIdentity;
use super::credentials::Credentials;
use super::identity::Identity;
use super::issuer::VerifyingKey;

/// A bounded cache of identities by the digest of their token: neither a user name nor the spelling of a header makes
/// another entry.
pub(super) struct TokenCache {
    id: u64,
    tokens: Cache<[u8; 32], CachedIdentity>,
}

impl TokenCache {
    /// Bounds the effect of a changed rule or a clock that was set back.
    const MAX_LIFETIME: Duration = Duration::from_secs(5 * 60);
    /// About 90 MB when full, four times as much if all tokens have long names of branches; a busy server sees some thousand jobs in five minutes.
    const MAX_TOKENS: u64 = 100_000;

    pub(super) fn new() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let tokens = Cache::builder()
            .max_capacity(Self::MAX_TOKENS)
            .time_to_live(Self::MAX_LIFETIME)
            // The default policy may refuse a newcomer, whose every request would be verified anew.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, tokens }
    }

    /// The identity behind these credentials, if they were verified recently and still stand. Never
    /// waits. `generation`: that of the list of revoked tokens.
    pub(super) fn get(&self, credentials: &Credentials<'_>, now: (SystemTime, u64)) -> Option<Arc<Identity>> {
        let value = credentials.value();
        if let Some(cached) = per_thread::get(self.id, value) {
            if cached.is_good(now) {
                return Some(cached.identity);
            }
            per_thread::remove(self.id, value);
        }
        let digest = credentials.digest();
        let cached = self.tokens.get(&digest)?;
        if !cached.is_good(now) {
            self.tokens.invalidate(&digest);
            return None;
        }
        per_thread::put(self.id, value, cached.clone());
        Some(cached.identity)
    }

    pub(super) fn insert(
        &self,
        credentials: &Credentials<'_>,
        identity: Arc<Identity>,
        (key, generation): (Option<Arc<VerifyingKey>>, u64),
        now: SystemTime,
    ) {
        let until = identity.expires.min(now + Self::MAX_LIFETIME);
        let cached = CachedIdentity {
            identity,
            key,
            generation,
            until,
        };
        self.tokens.insert(credentials.digest(), cached);
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::at;
    use super::per_thread::tests::identity;
    use super::*;

    fn credentials(value: &'static str) -> Credentials<'static> {
        Credentials::from_header_values(std::iter::once(value.as_bytes())).unwrap()
    }

    #[test]
    fn an_entry_ends_with_the_token() {
        let cache = TokenCache::new();
        cache.insert(
            &credentials("a"),
            identity(at(1000)),
            (Some(Arc::new(VerifyingKey::sample())), 0),
            at(900),
        );
        for _ in 0..2 {
            assert!(cache.get(&credentials("a"), (at(999), 7)).is_some());
            assert!(cache.get(&credentials("b"), (at(999), 7)).is_none());
        }
        assert!(cache.get(&credentials("a"), (at(1000), 7)).is_none());
        assert!(cache.get(&credentials("a"), (at(1000), 7)).is_none());
    }

    #[test]
    fn an_entry_ends_after_five_minutes() {
        let cache = TokenCache::new();
        cache.insert(
            &credentials("a"),
            identity(at(10_000)),
            (Some(Arc::new(VerifyingKey::sample())), 0),
            at(1000),
        );
        assert!(cache.get(&credentials("a"), (at(1299), 7)).is_some());
        assert!(cache.get(&credentials("a"), (at(1300), 7)).is_none());
    }

    #[test]
    fn an_entry_ends_with_its_key() {
        let cache = TokenCache::new();
        let key = Arc::new(VerifyingKey::sample());
        cache.insert(
            &credentials("a"),
            identity(at(1000)),
            (Some(key.clone()), 0),
            at(900),
        );
        cache.insert(
            &credentials("b"),
            identity(at(1000)),
            (Some(Arc::new(VerifyingKey::sample())), 0),
            at(900),
        );
        assert!(cache.get(&credentials("a"), (at(999), 7)).is_some());
        key.withdraw();
        assert!(cache.get(&credentials("a"), (at(999), 7)).is_none());
        assert!(cache.get(&credentials("b"), (at(999), 7)).is_some());
    }

    #[test]
    fn a_job_token_is_judged_again_once_one_was_revoked() {
        let cache = TokenCache::new();
        cache.insert(&credentials("a"), identity(at(1000)), (None, 3), at(900));
        assert!(cache.get(&credentials("a"), (at(999), 3)).is_some());
        assert!(cache.get(&credentials("a"), (at(999), 3)).is_some());
        assert!(cache.get(&credentials("a"), (at(999), 4)).is_none());
    }
}

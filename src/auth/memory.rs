//! Tokens that were verified a moment ago, so that the next request with one costs a look-up.
//!
//! Invariants: an entry ends with the token's life, after five minutes, or when the key that
//! signed it is withdrawn, whichever comes first. Failures are not remembered: a flood of bad
//! tokens cannot push out good ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::credentials::Credentials;
use super::identity::Identity;
use super::issuer::Key;
use super::recent;

/// A bounded memory of verified tokens.
pub(super) struct Memory {
    id: u64,
    tokens: Cache<[u8; 32], Remembered>,
}

/// What a token was worth when it was verified.
#[derive(Clone)]
pub(super) struct Remembered {
    identity: Arc<Identity>,
    /// The key that verified the token.
    key: Arc<Key>,
    /// The end of this memory of it.
    until: SystemTime,
}

impl Remembered {
    fn stands(&self, now: SystemTime) -> bool {
        now < self.until && !self.key.is_withdrawn()
    }
}

impl Memory {
    /// Bounds the effect of a changed rule or a clock that was set back.
    const LONGEST: Duration = Duration::from_secs(5 * 60);
    /// About 60 MB when full; a busy server sees some thousand jobs in five minutes.
    const MAX_TOKENS: u64 = 100_000;

    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let tokens = Cache::builder()
            .max_capacity(Self::MAX_TOKENS)
            .time_to_live(Self::LONGEST)
            // The default policy may refuse a newcomer, whose every request would be verified anew.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, tokens }
    }

    /// The identity behind these credentials, if they were verified recently and still stand. Never
    /// waits.
    pub(super) fn get(&self, credentials: &Credentials<'_>, now: SystemTime) -> Option<Arc<Identity>> {
        let value = credentials.value();
        if let Some(recent) = recent::get(self.id, value) {
            if recent.stands(now) {
                return Some(recent.identity);
            }
            recent::remove(self.id, value);
        }
        let digest = credentials.digest();
        let remembered = self.tokens.get(&digest)?;
        if !remembered.stands(now) {
            self.tokens.invalidate(&digest);
            return None;
        }
        recent::put(self.id, value, remembered.clone());
        Some(remembered.identity)
    }

    pub(super) fn insert(
        &self,
        credentials: &Credentials<'_>,
        identity: Arc<Identity>,
        key: Arc<Key>,
        now: SystemTime,
    ) {
        let until = identity.expires.min(now + Self::LONGEST);
        self.tokens
            .insert(credentials.digest(), Remembered { identity, key, until });
    }
}

#[cfg(test)]
pub(super) fn sample(expires: u64) -> Remembered {
    let identity = tests::identity(super::claims::at(expires));
    Remembered {
        until: identity.expires,
        identity,
        key: Arc::new(Key::sample()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::at;
    use super::super::identity::{Namespace, Scope, TokenDigest};
    use super::*;

    pub(super) fn identity(expires: SystemTime) -> Arc<Identity> {
        let issuer: Arc<str> = "https://issuer.example".into();
        Arc::new(Identity {
            issuer: issuer.clone(),
            subject: "".into(),
            scope: Scope::new(Namespace::new(issuer, "n")).unwrap(),
            may_write: true,
            expires,
            token: TokenDigest::of("a.b.c"),
        })
    }

    fn credentials(value: &'static str) -> Credentials<'static> {
        Credentials::from_header_values(std::iter::once(value.as_bytes())).unwrap()
    }

    #[test]
    fn an_entry_ends_with_the_token() {
        let memory = Memory::new();
        memory.insert(
            &credentials("a"),
            identity(at(1000)),
            Arc::new(Key::sample()),
            at(900),
        );
        for _ in 0..2 {
            assert!(memory.get(&credentials("a"), at(999)).is_some());
            assert!(memory.get(&credentials("b"), at(999)).is_none());
        }
        assert!(memory.get(&credentials("a"), at(1000)).is_none());
        assert!(memory.get(&credentials("a"), at(1000)).is_none());
    }

    #[test]
    fn an_entry_ends_after_five_minutes() {
        let memory = Memory::new();
        memory.insert(
            &credentials("a"),
            identity(at(10_000)),
            Arc::new(Key::sample()),
            at(1000),
        );
        assert!(memory.get(&credentials("a"), at(1299)).is_some());
        assert!(memory.get(&credentials("a"), at(1300)).is_none());
    }

    #[test]
    fn an_entry_ends_with_its_key() {
        let memory = Memory::new();
        let key = Arc::new(Key::sample());
        memory.insert(&credentials("a"), identity(at(1000)), key.clone(), at(900));
        memory.insert(
            &credentials("b"),
            identity(at(1000)),
            Arc::new(Key::sample()),
            at(900),
        );
        assert!(memory.get(&credentials("a"), at(999)).is_some());
        key.withdraw();
        assert!(memory.get(&credentials("a"), at(999)).is_none());
        assert!(memory.get(&credentials("b"), at(999)).is_some());
    }
}

//! Tokens that were verified a moment ago, so that the next request with one costs a look-up.
//!
//! Invariants: an entry ends with the token's life, after five minutes, or when the key that
//! signed it is withdrawn, whichever comes first. Failures are not remembered: a flood of bad
//! tokens cannot push out good ones.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::identity::Identity;
use super::issuer::Key;

/// A bounded memory of verified tokens.
pub(super) struct Memory {
    tokens: Cache<[u8; 32], Remembered>,
}

#[derive(Clone)]
struct Remembered {
    identity: Arc<Identity>,
    /// The key that verified the token.
    key: Arc<Key>,
}

impl Memory {
    /// Bounds the effect of a changed rule or a clock that was set back.
    const LONGEST: Duration = Duration::from_secs(5 * 60);
    /// About 60 MB when full; a busy server sees some thousand jobs in five minutes.
    const MAX_TOKENS: u64 = 100_000;

    pub(super) fn new() -> Self {
        let tokens = Cache::builder()
            .max_capacity(Self::MAX_TOKENS)
            .time_to_live(Self::LONGEST)
            // The default policy may refuse a newcomer, whose every request would be verified anew.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { tokens }
    }

    /// The identity behind a token, if it was verified recently and still stands. Never waits.
    pub(super) fn get(&self, digest: &[u8; 32], now: SystemTime) -> Option<Arc<Identity>> {
        let remembered = self.tokens.get(digest)?;
        if remembered.identity.expires <= now || remembered.key.is_withdrawn() {
            self.tokens.invalidate(digest);
            return None;
        }
        Some(remembered.identity)
    }

    pub(super) fn insert(&self, digest: [u8; 32], identity: Arc<Identity>, key: Arc<Key>) {
        self.tokens.insert(digest, Remembered { identity, key });
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::at;
    use super::super::identity::{Namespace, Scope};
    use super::*;

    fn identity(expires: SystemTime) -> Arc<Identity> {
        let issuer: Arc<str> = "https://issuer.example".into();
        Arc::new(Identity {
            issuer: issuer.clone(),
            subject: "".into(),
            scope: Scope::new(Namespace::new(issuer, "n")).unwrap(),
            may_write: true,
            expires,
        })
    }

    #[test]
    fn an_entry_ends_with_the_token() {
        let memory = Memory::new();
        memory.insert([1; 32], identity(at(1000)), Arc::new(Key::sample()));
        assert!(memory.get(&[1; 32], at(999)).is_some());
        assert!(memory.get(&[2; 32], at(999)).is_none());
        assert!(memory.get(&[1; 32], at(1000)).is_none());
    }

    #[test]
    fn an_entry_ends_with_its_key() {
        let memory = Memory::new();
        let key = Arc::new(Key::sample());
        memory.insert([1; 32], identity(at(1000)), key.clone());
        memory.insert([2; 32], identity(at(1000)), Arc::new(Key::sample()));
        key.withdraw();
        assert!(memory.get(&[1; 32], at(999)).is_none());
        assert!(memory.get(&[2; 32], at(999)).is_some());
    }
}

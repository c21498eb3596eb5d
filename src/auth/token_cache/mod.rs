//! The identities behind tokens that were verified a moment ago, so that the next request with such a token costs
//! a look-up.
//!
//! Invariants: an identity is forgotten at the end of the token's life, after five minutes, or when the key that
//! signed the token is withdrawn, whichever comes first. A reload makes another cache. Failures are not cached: a flood of
//! bad tokens cannot push out good ones. All together take a bounded number of bytes, and the tenant that takes most gives
//! room ([`tenants`]).

mod per_thread;
mod tenants;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use self::per_thread::CachedIdentity;
use self::tenants::{TenantTokens, TokenKey};
use super::credentials::Credentials;
use super::identity::Identity;
use super::issuer::VerifyingKey;

/// A bounded cache of identities by the digest of their token: neither a user name nor the spelling of a header makes
/// another entry.
pub(super) struct TokenCache {
    id: u64,
    tokens: Cache<TokenKey, KeptIdentity>,
    tenants: Arc<TenantTokens>,
}

/// An identity with its place among those of its tenant.
#[derive(Clone)]
struct KeptIdentity {
    cached: CachedIdentity,
    number: u64,
    bytes: u32,
}

/// What a token takes beside the texts of its identity: measured, and rounded up.
const TOKEN_BYTES: usize = 1050;

impl TokenCache {
    /// Bounds the effect of a changed rule or a clock that was set back.
    const MAX_LIFETIME: Duration = Duration::from_secs(5 * 60);

    /// All tokens take at most `bound` bytes. A usual one takes some 1200; a busy server sees some thousand jobs in five
    /// minutes.
    pub(super) fn new(bound: u64) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let tenants = Arc::new(TenantTokens::new(bound));
        let counts = Arc::clone(&tenants);
        let tokens = Cache::builder()
            // It does not choose what goes: whoever puts one in has made room for it. It counts a little late.
            .max_capacity(bound + bound / 8)
            .weigher(|_, kept: &KeptIdentity| kept.bytes)
            .eviction_listener(move |_, kept: KeptIdentity, _| {
                counts.remove(&kept.cached.identity.tenancy.tenant, kept.number);
            })
            .time_to_live(Self::MAX_LIFETIME)
            // The default policy may refuse a newcomer, whose every request would be verified anew.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, tokens, tenants }
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
        let cached = self.tokens.get(&digest)?.cached;
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
        let (digest, bytes) = (credentials.digest(), TOKEN_BYTES + identity.text_bytes());
        let (number, gone) = self.tenants.add(&identity.tenancy.tenant, digest, bytes as u64);
        for (_, digest) in &gone {
            self.tokens.invalidate(digest);
        }
        // An older place of the same token may have gone for it.
        if gone.iter().any(|(gone, _)| *gone == number) {
            return;
        }
        let cached = CachedIdentity {
            identity,
            key,
            generation,
            until,
        };
        let bytes = bytes.try_into().unwrap_or(u32::MAX);
        self.tokens.insert(
            digest,
            KeptIdentity {
                cached,
                number,
                bytes,
            },
        );
    }

    /// Bytes that all tokens take.
    pub(super) fn bytes(&self) -> u64 {
        self.tenants.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::at;
    use super::per_thread::tests::identity;
    use super::*;
    use crate::store::Tenant;

    fn credentials(value: &'static str) -> Credentials<'static> {
        Credentials::from_header_values(std::iter::once(value.as_bytes())).unwrap()
    }

    #[test]
    fn an_entry_ends_with_the_token() {
        let cache = TokenCache::new(1 << 20);
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
        let cache = TokenCache::new(1 << 20);
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
        let cache = TokenCache::new(1 << 20);
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
        let cache = TokenCache::new(1 << 20);
        cache.insert(&credentials("a"), identity(at(1000)), (None, 3), at(900));
        assert!(cache.get(&credentials("a"), (at(999), 3)).is_some());
        assert!(cache.get(&credentials("a"), (at(999), 3)).is_some());
        assert!(cache.get(&credentials("a"), (at(999), 4)).is_none());
    }

    /// An identity of a tenant, with a subject of so many bytes.
    fn identity_of(tenant: &str, subject: usize) -> Arc<Identity> {
        let mut identity = (*identity(at(1000))).clone();
        identity.subject = "s".repeat(subject).into();
        identity.tenancy.tenant = Tenant::new("https://issuer.example", tenant, None).unwrap();
        Arc::new(identity)
    }

    fn insert(cache: &TokenCache, value: &str, identity: Arc<Identity>) {
        insert_of(cache, value, identity, Arc::new(VerifyingKey::sample()));
    }

    fn insert_of(cache: &TokenCache, value: &str, identity: Arc<Identity>, key: Arc<VerifyingKey>) {
        let credentials = Credentials::from_header_values(std::iter::once(value.as_bytes())).unwrap();
        cache.insert(&credentials, identity, (Some(key), 0), at(900));
    }

    fn has(cache: &TokenCache, value: &str) -> bool {
        let credentials = Credentials::from_header_values(std::iter::once(value.as_bytes())).unwrap();
        cache.get(&credentials, (at(999), 0)).is_some()
    }

    #[test]
    fn a_flood_of_long_tokens_leaves_those_of_others_in_memory_and_stays_within_its_bytes() {
        let cache = TokenCache::new(1 << 20);
        for nth in 0..100 {
            insert(&cache, &format!("Bearer quiet{nth}"), identity_of("quiet", 20));
        }
        for nth in 0..2000 {
            insert(
                &cache,
                &format!("Bearer flood{nth}"),
                identity_of("flood", 10_000),
            );
            assert!(cache.bytes() <= 1 << 20);
        }
        cache.tokens.run_pending_tasks();
        assert!(cache.tokens.weighted_size() <= 1 << 20, "moka counts the same");
        assert!((0..100).all(|nth| has(&cache, &format!("Bearer quiet{nth}"))));
        assert!(has(&cache, "Bearer flood1999") && !has(&cache, "Bearer flood1000"));
    }

    #[test]
    fn a_token_that_is_verified_again_in_a_full_cache_is_kept() {
        let any = TokenCache::new(1 << 20);
        insert(&any, "Bearer a", identity_of("a", 20));
        // Room for this one alone: its former place goes for it.
        let cache = TokenCache::new(any.bytes());
        (0..2).for_each(|_| insert(&cache, "Bearer a", identity_of("a", 20)));
        cache.tokens.run_pending_tasks();
        assert!(has(&cache, "Bearer a"));
        assert_eq!(cache.bytes(), any.bytes());
    }

    #[test]
    fn a_token_that_is_verified_again_counts_once() {
        let cache = TokenCache::new(1 << 20);
        insert(&cache, "Bearer a", identity_of("a", 20));
        let once = cache.bytes();
        (0..10).for_each(|_| insert(&cache, "Bearer a", identity_of("a", 20)));
        cache.tokens.run_pending_tasks();
        assert_eq!(cache.bytes(), once);
        assert!(has(&cache, "Bearer a"));
    }

    /// Run it alone: other tests of the process count, too.
    #[expect(clippy::print_stdout, reason = "figures for whoever runs it")]
    #[test]
    #[ignore = "measures the memory of the whole process"]
    fn the_estimate_is_what_the_process_takes() {
        let anonymous = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssAnon:"))
                .unwrap();
            line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
        };
        let key = Arc::new(VerifyingKey::sample());
        for subject in [30, 300, 10_000] {
            let (before, cache, mut nth) = (anonymous(), TokenCache::new(64 << 20), 0);
            let mut last = 0;
            loop {
                // One tenant in ten tokens, and the key that all of them have.
                let identity = identity_of(&(nth / 10).to_string(), subject);
                insert_of(&cache, &format!("Bearer {nth}"), identity, Arc::clone(&key));
                nth += 1;
                if cache.bytes() <= last {
                    break;
                }
                last = cache.bytes();
            }
            cache.tokens.run_pending_tasks();
            let (counted, taken) = (cache.bytes(), anonymous() - before);
            println!("subject {subject:6} tokens {nth:6} counted {counted:10} taken {taken:10}");
            assert!(taken < (64 << 20) * 6 / 5 && taken > (64 << 20) / 2);
            // So that the next one gets fresh memory.
            std::mem::forget(cache);
        }
    }
}

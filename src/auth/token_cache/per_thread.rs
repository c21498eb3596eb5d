//! The credentials that this thread saw last. To find them is a comparison of bytes, without hash and lock.
//!
//! A job sends one token with all its requests, so a handful of slots answers nearly all of them.
//! Whole values are compared, so the choice of the slot is of no consequence for safety. The token cache checks
//! what it gets from a slot like what it has itself.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::identity::Identity;
use super::super::issuer::VerifyingKey;

/// A power of two. A slot holds at most 16 KiB of credentials.
const SLOT_COUNT: usize = 64;

/// The identity behind credentials that were verified.
#[derive(Clone)]
pub(super) struct CachedIdentity {
    pub(super) identity: Arc<Identity>,
    /// The key of the issuer that verified the token; none for a job token.
    pub(super) key: Option<Arc<VerifyingKey>>,
    /// Of the list of revoked tokens, when a job token was judged.
    pub(super) generation: u64,
    /// The end of its time in the cache.
    pub(super) until: SystemTime,
}

impl CachedIdentity {
    pub(super) fn is_good(&self, (now, generation): (SystemTime, u64)) -> bool {
        let stands = match &self.key {
            Some(key) => !key.is_withdrawn(),
            None => self.generation == generation,
        };
        now < self.until && stands
    }
}

struct TokenSlot {
    /// The token cache that owns this slot: there may be several in one process.
    owner: u64,
    value: Box<[u8]>,
    cached: CachedIdentity,
}

thread_local! {
    static RECENT_SLOTS: RefCell<[Option<TokenSlot>; SLOT_COUNT]> = const { RefCell::new([const { None }; SLOT_COUNT]) };
}

/// The end of a token is the end of its signature, as good as random.
fn slot_of(value: &[u8]) -> usize {
    let tail = value.iter().rev().skip(4).take(4);
    tail.fold(value.len(), |sum, byte| sum.wrapping_mul(31) + usize::from(*byte)) % SLOT_COUNT
}

/// The identity that `owner` last put under exactly these bytes.
pub(super) fn get(owner: u64, value: &[u8]) -> Option<CachedIdentity> {
    RECENT_SLOTS.with_borrow(|slots| {
        let slot = slots[slot_of(value)].as_ref()?;
        (slot.owner == owner && *slot.value == *value).then(|| slot.cached.clone())
    })
}

/// Puts an identity into the slot of these bytes, which may have held another one.
pub(super) fn put(owner: u64, value: &[u8], cached: CachedIdentity) {
    RECENT_SLOTS.with_borrow_mut(|slots| {
        slots[slot_of(value)] = Some(TokenSlot {
            owner,
            value: value.into(),
            cached,
        });
    });
}

/// Forgets these bytes.
pub(super) fn remove(owner: u64, value: &[u8]) {
    RECENT_SLOTS.with_borrow_mut(|slots| {
        let slot = &mut slots[slot_of(value)];
        slot.take_if(|slot| slot.owner == owner && *slot.value == *value);
    });
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::claims::at;
    use super::super::super::identity::{Namespace, Scope, TokenDigest};
    use super::*;
    use crate::store::{Rank, Tenancy, Tenant};

    fn sample(expires: u64) -> CachedIdentity {
        let identity = identity(at(expires));
        CachedIdentity {
            until: identity.expires,
            identity,
            key: Some(Arc::new(VerifyingKey::sample())),
            generation: 0,
        }
    }

    pub(in super::super) fn identity(expires: SystemTime) -> Arc<Identity> {
        let issuer: Arc<str> = "https://issuer.example".into();
        Arc::new(Identity {
            issuer: issuer.clone(),
            subject: "".into(),
            scope: Scope::new(Namespace::new(issuer, "n")).unwrap(),
            tenancy: Tenancy {
                tenant: Tenant::new("https://issuer.example", "n", None).unwrap(),
                rank: Rank::Pushed,
            },
            may_write: true,
            expires,
            token: TokenDigest::of("a.b.c"),
        })
    }

    #[test]
    fn only_equal_bytes_of_the_same_owner_are_found() {
        put(1, b"header.claims.signature", sample(1));
        assert!(get(1, b"header.claims.signature").is_some());
        assert!(get(2, b"header.claims.signature").is_none());
        assert!(
            get(1, b"Header.claims.signature").is_none(),
            "same place, other bytes"
        );
        remove(2, b"header.claims.signature");
        assert!(get(1, b"header.claims.signature").is_some());
        remove(1, b"header.claims.signature");
        assert!(get(1, b"header.claims.signature").is_none());
    }

    #[test]
    fn short_values_have_a_place_too() {
        for value in [&b""[..], b"a", b"a.b.c"] {
            put(1, value, sample(1));
            assert!(get(1, value).is_some());
        }
    }
}

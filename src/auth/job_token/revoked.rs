//! The job tokens that were revoked. A token that is revoked takes with it all that its chain of exchanges has made: a thief
//! who exchanges once must not survive.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::token_id::TokenId;

/// The most chains in the list. Each is some 100 bytes in memory and 60 in a file.
const MAX_REVOKED: usize = 50_000;
/// The most of one tenant.
const MAX_OF_TENANT: usize = 10_000;

/// One chain of exchanges that was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The token with which it began.
    pub first: TokenId,
    /// The end of that one's life in seconds since 1970: by then all of the chain have ended.
    pub until: u64,
    /// The name of its tenant in logs; empty if the rules of now give none.
    pub tenant: Arc<str>,
}

/// Keeps revocations where the next start and the other servers find them.
#[async_trait]
pub trait RevocationKeeper: Debug + Send + Sync {
    /// Keeps one. It is in force here already, and stays so whatever comes of it.
    ///
    /// # Errors
    /// It is not kept everywhere yet; that is tried again.
    async fn keep(&self, revocation: Revocation) -> Result<(), NotKeptError>;
}

/// A revocation is in force on one server, and not kept everywhere yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is revoked on this server; the other servers are not told yet")]
pub struct NotKeptError;

/// The revoked chains, as far as this server knows them. Cheap to clone; all clones are one list.
#[derive(Debug, Clone, Default)]
pub struct RevokedTokens(Arc<RevokedState>);

#[derive(Debug, Default)]
struct RevokedState {
    list: RwLock<RevokedList>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct RevokedList {
    chains: HashMap<TokenId, Revocation>,
    /// When all that is kept was read last.
    read: Option<Instant>,
}

impl RevokedTokens {
    /// A list that nobody has to read first, for a server that keeps none.
    pub fn empty() -> Self {
        let list = Self::default();
        list.note_read();
        list
    }

    /// All that is kept has been read now. Before the first time nothing is known.
    pub fn note_read(&self) {
        self.write().read = Some(Instant::now());
    }

    /// How long ago all was read; `None` before the first time.
    pub fn age(&self) -> Option<Duration> {
        self.read().read.map(|read| read.elapsed())
    }

    /// Whether a chain is revoked. `None` if that is not known yet.
    pub(in crate::auth) fn contains(&self, first: TokenId) -> Option<bool> {
        let list = self.read();
        list.read.map(|_| list.chains.contains_key(&first))
    }

    /// Whether a chain is in the list.
    pub fn holds(&self, first: TokenId) -> bool {
        self.read().chains.contains_key(&first)
    }

    /// Adds chains, and forgets those whose tokens have all ended at the time `now`. `false` if nothing is new.
    pub fn take(&self, revocations: impl IntoIterator<Item = Revocation>, now: u64) -> bool {
        let mut list = self.write();
        list.chains.retain(|_, revocation| revocation.until > now);
        let before = list.chains.len();
        for revocation in revocations {
            if revocation.until > now && list.chains.len() < MAX_REVOKED {
                list.chains.entry(revocation.first).or_insert(revocation);
            }
        }
        let is_new = list.chains.len() > before;
        drop(list);
        if is_new {
            // What is remembered of tokens that were good is judged again.
            self.0.generation.fetch_add(1, Ordering::Release);
        }
        is_new
    }

    /// Whether there is room for one more of this tenant, so that one that floods hinders no other.
    pub(in crate::auth) fn has_room(&self, tenant: &str) -> bool {
        let list = self.read();
        let of_tenant = list.chains.values().filter(|one| *one.tenant == *tenant).count();
        list.chains.len() < MAX_REVOKED && of_tenant < MAX_OF_TENANT
    }

    /// Rises with each chain that is added.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// All of them.
    pub fn all(&self) -> Vec<Revocation> {
        self.read().chains.values().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.read().chains.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, RevokedList> {
        self.0.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RevokedList> {
        self.0.list.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(until: u64, tenant: &str) -> Revocation {
        Revocation {
            first: TokenId::random(),
            until,
            tenant: tenant.into(),
        }
    }

    #[test]
    fn nothing_is_known_before_the_list_was_read() {
        let (list, one) = (RevokedTokens::default(), revocation(10, "t"));
        assert!(list.take([one.clone()], 0));
        assert_eq!((list.contains(one.first), list.age()), (None, None));
        list.note_read();
        assert_eq!(list.contains(one.first), Some(true));
        assert_eq!(list.contains(TokenId::random()), Some(false));
    }

    #[test]
    fn a_chain_stays_until_its_tokens_have_ended_and_counts_once() {
        let (list, one) = (RevokedTokens::empty(), revocation(10, "t"));
        assert!(list.take([one.clone()], 9));
        let generation = list.generation();
        assert!(!list.take([one.clone()], 9) && list.holds(one.first));
        assert_eq!(list.generation(), generation);
        assert!(!list.take([one.clone()], 10) && !list.holds(one.first));
    }

    #[test]
    fn one_tenant_that_floods_hinders_no_other() {
        let list = RevokedTokens::empty();
        list.take((0..MAX_OF_TENANT).map(|_| revocation(10, "flood")), 0);
        assert!(!list.has_room("flood") && list.has_room("quiet"));
        list.take((0..2 * MAX_REVOKED).map(|_| revocation(10, "others")), 0);
        assert_eq!(list.count(), MAX_REVOKED);
        assert!(!list.has_room("quiet"));
    }
}

//! Memory for what clients send: bodies of calls, batches of bodies on their way into files, lists of blocks.
//!
//! One account for all of it. Bytes count when they have arrived; nothing counts that was only announced. An owner may
//! hold as much as is free beside it: half of all when it is alone, a third each when two want more than that. So there
//! is always room for one who comes later. Nobody waits here: who gets nothing refuses its client, or writes what it
//! has into a file.

mod counted;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

pub use counted::CountedBytes;

use super::{Error, Result};

/// Memory is taken in pieces of this size, in bytes.
const PIECE_BYTES: u64 = 16 * 1024;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryAccount(Arc<AccountInner>);

#[derive(Debug)]
struct AccountInner {
    limit: AtomicU64,
    /// Changes under the lock only.
    used: AtomicU64,
    /// Those who hold something, at least a piece each.
    owners: Mutex<HashMap<Arc<str>, u64>>,
    refused: AtomicU64,
    early_writes: AtomicU64,
}

/// An account at one moment, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes that may be held.
    pub limit: u64,
    /// Bytes that are held.
    pub used: u64,
    /// Requests that were refused because they would have needed more.
    pub refused: u64,
    /// Batches that were written before they were full, because they would have needed more.
    pub early_writes: u64,
}

/// What one request holds; given back when it is dropped.
#[derive(Debug)]
pub struct MemoryShare {
    account: MemoryAccount,
    owner: Arc<str>,
    bytes: u64,
}

/// The owner of what belongs to nobody in particular.
pub fn nobody() -> Arc<str> {
    static NOBODY: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
    Arc::clone(&NOBODY)
}

impl MemoryAccount {
    /// An account of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(AccountInner {
            limit: limit.into(),
            used: AtomicU64::new(0),
            owners: Mutex::default(),
            refused: AtomicU64::new(0),
            early_writes: AtomicU64::new(0),
        }))
    }

    /// Other bytes may be held from now on. What is held already stays.
    pub fn set_limit(&self, limit: u64) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// An empty share for `owner`: a tenant's label, or [`nobody`].
    pub fn share(&self, owner: &Arc<str>) -> MemoryShare {
        MemoryShare {
            account: self.clone(),
            owner: Arc::clone(owner),
            bytes: 0,
        }
    }

    /// Whether much is held (one owner alone may hold a third more): then buffers that are not counted should stay
    /// small.
    pub fn is_tight(&self) -> bool {
        self.0.used.load(Ordering::Relaxed) > self.0.limit.load(Ordering::Relaxed) / 8 * 3
    }

    /// Figures of this moment.
    pub fn stats(&self) -> MemoryStats {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        MemoryStats {
            limit: read(&self.0.limit),
            used: read(&self.0.used),
            refused: read(&self.0.refused),
            early_writes: read(&self.0.early_writes),
        }
    }

    /// Bytes that one owner holds.
    pub fn held_by(&self, owner: &str) -> u64 {
        self.lock().get(owner).copied().unwrap_or(0)
    }

    fn take(&self, owner: &Arc<str>, bytes: u64) -> bool {
        let mut owners = self.lock();
        let used = self.0.used.load(Ordering::Relaxed) + bytes;
        let held = owners.get(owner).copied().unwrap_or(0) + bytes;
        let free = self.0.limit.load(Ordering::Relaxed).saturating_sub(used);
        if held > free {
            return false;
        }
        owners.insert(Arc::clone(owner), held);
        self.0.used.store(used, Ordering::Relaxed);
        true
    }

    fn give_back(&self, owner: &Arc<str>, bytes: u64) {
        let mut owners = self.lock();
        if let Some(held) = owners.get_mut(owner) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                owners.remove(owner);
            }
        }
        let used = self.0.used.load(Ordering::Relaxed).saturating_sub(bytes);
        self.0.used.store(used, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, u64>> {
        self.0.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryShare {
    /// Makes sure that at least `bytes` are held. `false` if its owner may not hold so much now.
    #[must_use]
    pub fn hold(&mut self, bytes: u64) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let more = (bytes - self.bytes).next_multiple_of(PIECE_BYTES);
        let taken = self.account.take(&self.owner, more);
        self.bytes += if taken { more } else { 0 };
        taken
    }

    /// [`MemoryShare::hold`] for a request that cannot do without.
    ///
    /// # Errors
    /// [`Error::NoMemory`], which is counted.
    pub(crate) fn hold_or_refuse(&mut self, bytes: u64) -> Result<()> {
        if self.hold(bytes) {
            return Ok(());
        }
        self.account.0.refused.fetch_add(1, Ordering::Relaxed);
        Err(Error::NoMemory)
    }

    /// Gives back what exceeds `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let kept = bytes.next_multiple_of(PIECE_BYTES).min(self.bytes);
        if kept < self.bytes {
            self.account.give_back(&self.owner, self.bytes - kept);
            self.bytes = kept;
        }
    }

    /// Another owner has what is held from now on; nothing is held yet.
    pub(crate) fn charge(&mut self, owner: &Arc<str>) {
        self.shrink(0);
        self.owner = Arc::clone(owner);
    }

    /// Counts a batch that is written early, because this share could not grow.
    pub(crate) fn count_early_write(&self) {
        self.account.0.early_writes.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 96 * PIECE_BYTES;

    fn owner(name: &str) -> Arc<str> {
        name.into()
    }

    /// Shares of these owners grow in turn by a piece until nobody gets more: the pieces that each holds.
    fn filled(account: &MemoryAccount, owners: &[&str]) -> Vec<u64> {
        let mut shares: Vec<_> = owners.iter().map(|name| account.share(&owner(name))).collect();
        loop {
            let mut grown = false;
            for share in &mut shares {
                grown |= share.hold(share.bytes + 1);
            }
            if !grown {
                return shares.iter().map(|share| share.bytes / PIECE_BYTES).collect();
            }
        }
    }

    #[test]
    fn one_owner_gets_half_and_leaves_the_rest_to_those_who_come() {
        let account = MemoryAccount::new(LIMIT);
        assert_eq!(filled(&account, &["a"]), [48]);
        assert_eq!(filled(&account, &["a", "b"]), [32, 32]);
        assert_eq!(filled(&account, &["a", "b", "c"]), [24, 24, 24]);
        // Many shares of one are one: what they get by being faster is less than half, too.
        let held = filled(&account, &["a", "a", "a", "b"]);
        assert!(held[..3].iter().sum::<u64>() <= 48 && held[3] >= 24, "{held:?}");
        assert_eq!(account.stats().used, 0);
        assert!(account.lock().is_empty());
    }

    #[test]
    fn a_flood_leaves_room_for_a_quiet_one() {
        let account = MemoryAccount::new(LIMIT);
        let mut flood = account.share(&owner("flood"));
        while flood.hold(flood.bytes + 1) {}
        let mut quiet = account.share(&owner("quiet"));
        assert!(quiet.hold(10 * PIECE_BYTES));
        assert!(!flood.hold(flood.bytes + 1));
        assert!(account.is_tight());
        flood.shrink(1);
        assert_eq!(account.stats().used, 11 * PIECE_BYTES);
        let held = ["flood", "quiet", "nobody"].map(|name| account.held_by(name) / PIECE_BYTES);
        assert_eq!(held, [1, 10, 0]);
        assert!(!account.is_tight());
    }

    #[test]
    fn what_a_share_cannot_get_changes_nothing() {
        let account = MemoryAccount::new(LIMIT);
        let mut share = account.share(&owner("a"));
        assert!(!share.hold(LIMIT));
        assert_eq!((share.bytes, account.stats().used), (0, 0));
        assert!(share.hold(1) && share.hold(PIECE_BYTES));
        assert_eq!(account.stats().used, PIECE_BYTES);
        share.charge(&owner("b"));
        assert_eq!(account.stats().used, 0);
        account.set_limit(0);
        assert!(!share.hold(1));
    }
}

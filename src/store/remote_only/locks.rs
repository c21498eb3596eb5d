//! One lock for each key that is being changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::store::StoreKey;

/// Locks that nobody holds are dropped whenever so many are known.
const TIDY: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    locks: HashMap<[u8; 32], Weak<AsyncMutex<()>>>,
    tidy_at: usize,
}

impl Locks {
    /// Waits until nobody else changes `key`; first come, first served.
    pub(super) async fn lock(&self, key: &StoreKey) -> OwnedMutexGuard<()> {
        let lock = self.of(key);
        lock.lock_owned().await
    }

    fn of(&self, key: &StoreKey) -> Arc<AsyncMutex<()>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = known.locks.get(key.digest()).and_then(Weak::upgrade) {
            return lock;
        }
        if known.locks.len() >= known.tidy_at {
            known.locks.retain(|_, lock| lock.strong_count() > 0);
            known.tidy_at = (known.locks.len() * 2).max(TIDY);
        }
        let lock = Arc::new(AsyncMutex::new(()));
        known.locks.insert(*key.digest(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Protocol;

    #[tokio::test]
    async fn keys_wait_only_for_themselves_and_are_forgotten() {
        let locks = Locks::default();
        let key = |nth: u32| {
            let name = nth.to_string();
            StoreKey::new("i".into(), "n".into(), Protocol::Http, name.as_bytes())
        };
        let held = locks.lock(&key(0)).await;
        assert!(locks.of(&key(0)).try_lock().is_err());
        for nth in 1..1000 {
            drop(locks.lock(&key(nth)).await);
        }
        assert!(locks.of(&key(0)).try_lock().is_err());
        drop(held);
        assert!(locks.of(&key(0)).try_lock().is_ok());
        let known = locks.0.lock().expect("lock").locks.len();
        assert!(known <= 2 * TIDY, "{known}");
    }
}

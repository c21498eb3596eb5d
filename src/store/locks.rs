//! One lock for each key: changes of one entry wait for each other, changes of two never do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::Digest;

type Map = Mutex<HashMap<Digest, Arc<AsyncMutex<()>>>>;

/// See the module. A key that is neither held nor waited for takes no room.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks(Arc<Map>);

/// The lock of one key; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct KeyGuard {
    // Dropped first: the interest goes when no other task can wait for it any more.
    _held: OwnedMutexGuard<()>,
    _interest: Interest,
}

/// Keeps a lock in the map, and removes it with the last task that wants it.
#[derive(Debug)]
struct Interest {
    map: Arc<Map>,
    digest: Digest,
}

impl KeyLocks {
    /// Waits until no other task holds the key. Fair.
    pub(crate) async fn lock(&self, digest: &Digest) -> KeyGuard {
        let (lock, interest) = self.want(digest);
        KeyGuard {
            _held: lock.lock_owned().await,
            _interest: interest,
        }
    }

    /// Takes the key if no other task holds it: for a task that has another key already.
    pub(crate) fn try_lock(&self, digest: &Digest) -> Option<KeyGuard> {
        let (lock, interest) = self.want(digest);
        Some(KeyGuard {
            _held: lock.try_lock_owned().ok()?,
            _interest: interest,
        })
    }

    fn want(&self, digest: &Digest) -> (Arc<AsyncMutex<()>>, Interest) {
        let interest = Interest {
            map: Arc::clone(&self.0),
            digest: *digest,
        };
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(map.entry(*digest).or_default()), interest)
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = map.get(&self.digest);
        if lock.is_some_and(|lock| Arc::strong_count(lock) == 1) {
            map.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let locks = KeyLocks::default();
        let (one, two) = (Digest::new([1; 32]), Digest::new([2; 32]));
        let held = locks.lock(&one).await;
        let _other = locks.lock(&two).await;
        assert!(locks.lock(&one).now_or_never().is_none());
        assert!(locks.try_lock(&one).is_none());
        let mut waiting = Box::pin(locks.lock(&one));
        assert!((&mut waiting).now_or_never().is_none());
        drop(held);
        drop(waiting.await);
        let left = locks.0.lock().expect("sound").len();
        assert_eq!(left, 1);
        assert!(locks.try_lock(&one).is_some());
        assert_eq!(locks.0.lock().expect("sound").len(), 1);
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_nothing() {
        let locks = KeyLocks::default();
        let one = Digest::new([1; 32]);
        let held = locks.lock(&one).await;
        let mut waiting = Box::pin(locks.lock(&one));
        assert!((&mut waiting).now_or_never().is_none());
        drop(held);
        drop(waiting);
        assert!(locks.0.lock().expect("sound").is_empty());
    }
}

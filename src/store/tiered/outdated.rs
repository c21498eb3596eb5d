//! What other servers change, and what they hear of the changes here.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;

use super::{Tiered, TieredCore};
use crate::store::{Digest, Result, StoreKey};

/// Hears of every change that clients may see, before it is answered.
#[async_trait]
pub trait ChangeObserver: Debug + Send + Sync + 'static {
    /// The entry under `key` was written or deleted. `waits`: the remote tier does not know it yet. Called under the
    /// lock of the key, so it waits for a short time at most.
    async fn changed(&self, key: &StoreKey, waits: bool);
}

/// Copies that another server has made old, until they are gone from the disk.
#[derive(Debug, Default)]
pub(super) struct Outdated {
    /// A hit looks at nothing else while it is 0.
    count: AtomicUsize,
    keys: Mutex<HashMap<Digest, usize>>,
    /// Keys whose last version waits on another server: what the remote tier has is an older one.
    held: OnceLock<Cache<Digest, ()>>,
}

/// Keys that wait on other servers, as far as they are remembered.
const MAX_HELD: u64 = 1 << 16;
/// A server that does not come back takes what waits there with it.
const HELD_TIME: Duration = Duration::from_secs(60 * 60);

impl Outdated {
    /// Whether the remote tier has an older version than another server. A miss is better than that.
    pub(super) fn is_held(&self, digest: &Digest) -> bool {
        self.held.get().is_some_and(|held| held.contains_key(digest))
    }

    fn hold(&self, digest: Digest) {
        let build = || {
            Cache::builder()
                .max_capacity(MAX_HELD)
                .time_to_live(HELD_TIME)
                .build()
        };
        self.held.get_or_init(build).insert(digest, ());
    }

    /// There is a later version than the one that waits elsewhere.
    pub(super) fn release(&self, digest: &Digest) {
        if let Some(held) = self.held.get() {
            held.invalidate(digest);
        }
    }

    /// Whether the copy under this digest must not be served.
    pub(super) fn hides(&self, digest: &Digest) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.with(|keys| keys.contains_key(digest))
    }

    fn add(&self, digest: &Digest) {
        self.count.fetch_add(1, Ordering::Release);
        self.with(|keys| *keys.entry(*digest).or_default() += 1);
    }

    fn remove(&self, digest: &Digest) {
        self.with(|keys| {
            if let Some(times) = keys.get_mut(digest) {
                *times -= 1;
                if *times == 0 {
                    keys.remove(digest);
                }
            }
        });
        self.count.fetch_sub(1, Ordering::Release);
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Digest, usize>) -> T) -> T {
        work(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tiered {
    /// `observer` hears of changes from now on; a second one is not taken.
    pub fn observe(&self, observer: Arc<dyn ChangeObserver>) {
        let _second = self.0.observer.set(observer);
    }

    /// Another server has changed the entry under this digest: from the return of this on, no copy from before is
    /// served. What waits here for the remote tier stays: that decides when it is there. `waits`: the remote tier does
    /// not know the change yet. Until it does, the key is a miss here.
    pub fn outdate(&self, digest: Digest, waits: bool) {
        let core = Arc::clone(&self.0);
        match waits {
            true => core.outdated.hold(digest),
            false => core.outdated.release(&digest),
        }
        core.outdated.add(&digest);
        core.fills.outdate(&digest);
        // The lock may be held by a change that waits for the server that says this.
        drop(
            self.0
                .tasks
                .spawn(async move { core.drop_outdated(&digest).await }),
        );
    }

    /// Changes of other servers were missed: each copy is compared once before it is served.
    ///
    /// # Errors
    /// [`crate::store::Error::Io`] if that cannot be noted for the next start.
    pub async fn doubt_copies(&self) -> Result<()> {
        self.0.freshness.doubt();
        self.0.local.suspect_all().await
    }
}

impl TieredCore {
    /// What waited is in the remote tier now, or has given way there. As [`TieredCore::changed`].
    pub(super) async fn arrived(&self, key: &StoreKey) {
        self.fills.outdate(key.digest());
        if let Some(observer) = self.observer.get() {
            observer.changed(key, false).await;
        }
    }

    async fn drop_outdated(&self, digest: &Digest) {
        let _change = self.changes.lock(digest).await;
        if !self.queue.is_waiting(digest)
            && let Err(error) = self.local.discard(digest).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an entry that another server has changed could not be removed from the disk; it is not served"
            );
            return;
        }
        self.outdated.remove(digest);
    }
}

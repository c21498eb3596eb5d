//! What other servers change, and what they hear of the changes here.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use tokio::time::timeout;

use super::record::Former;
use super::{Tiered, TieredCore};
use crate::store::follow::{Judge, stream};
use crate::store::source::{EntrySource, SourceOpen};
use crate::store::{Digest, Entry, Error, Result, Store, StoreKey};
use crate::tasks;

/// Hears of every change that clients may see, before it is answered.
#[async_trait]
pub trait ChangeObserver: Debug + Send + Sync + 'static {
    /// The entry under `key` was written or deleted. `waits`: the remote tier does not know it yet. Called under the
    /// lock of the key, so it waits for a short time at most.
    async fn changed(&self, key: &StoreKey, waits: bool);
}

/// What a server that has a change says about it.
#[derive(Debug)]
pub enum HeldEntry {
    /// The entry, which the remote tier does not have yet.
    Entry(Arc<dyn EntrySource>, SourceOpen),
    /// It was deleted, which the remote tier does not know yet.
    Deleted,
    /// The remote tier knows by now, or decides.
    Arrived,
}

/// Another server, where a change waits for the remote tier.
#[async_trait]
pub trait ChangeHolder: Debug + Send + Sync + 'static {
    /// Asks it for the entry under `key`. The caller limits the time.
    ///
    /// # Errors
    /// It cannot be asked.
    async fn open(&self, key: &StoreKey) -> Result<HeldEntry>;
}

/// What waits here for the remote tier, for another server that asks.
#[derive(Debug)]
pub enum WaitingEntry {
    /// The entry.
    Entry(Entry),
    /// It is to be deleted.
    Deleted,
    /// Nothing: the remote tier knows.
    Nothing,
}

/// Copies that another server has made old, until they are gone from the disk.
#[derive(Debug, Default)]
pub(super) struct Outdated {
    /// A hit looks at nothing else while it is 0.
    count: AtomicUsize,
    keys: Mutex<HashMap<Digest, usize>>,
    /// Keys whose last version waits on another server: what the remote tier has is an older one.
    held: OnceLock<Cache<Digest, Arc<dyn ChangeHolder>>>,
}

/// A read waits this long for another server's answer.
const HOLDER_TIMEOUT: Duration = Duration::from_secs(2);
/// Keys that wait on other servers, as far as they are remembered.
const MAX_HELD: u64 = 1 << 16;
/// A server that does not come back takes what waits there with it.
const HELD_TIME: Duration = Duration::from_secs(60 * 60);
/// A copy that cannot be removed is tried again after so long; each time after twice as long.
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(60);

impl Outdated {
    /// Who has a later version than the remote tier.
    pub(super) fn holder(&self, digest: &Digest) -> Option<Arc<dyn ChangeHolder>> {
        self.held.get()?.get(digest)
    }

    fn hold(&self, digest: Digest, holder: Arc<dyn ChangeHolder>) {
        let build = || {
            Cache::builder()
                .max_capacity(MAX_HELD)
                .time_to_live(HELD_TIME)
                // The default policy may refuse a newcomer.
                .eviction_policy(EvictionPolicy::lru())
                .build()
        };
        self.held.get_or_init(build).insert(digest, holder);
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

    /// Leaves the copy under this digest to another task that is about to remove it. `false` if there is none.
    fn leave(&self, digest: &Digest) -> bool {
        let left = self.with(|keys| {
            let others = keys.get_mut(digest).filter(|times| **times > 1);
            others.map(|times| *times -= 1).is_some()
        });
        if left {
            self.count.fetch_sub(1, Ordering::Release);
        }
        left
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
    /// served. What waits here for the remote tier stays: that decides when it is there. `holder`: the remote
    /// tier does not know the change yet. Until it does, the holder is asked for the key.
    pub fn outdate(&self, digest: Digest, holder: Option<Arc<dyn ChangeHolder>>) {
        let core = Arc::clone(&self.0);
        match holder {
            Some(holder) => core.outdated.hold(digest, holder),
            None => core.outdated.release(&digest),
        }
        core.outdated.add(&digest);
        core.queue.doubt(&digest);
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

    /// What another server has under a key that waits there. `None` if the remote tier is to be asked. A server that
    /// cannot be asked makes it a miss: what the remote tier has is older.
    pub(super) async fn held_entry(&self, key: &StoreKey) -> Option<Option<Entry>> {
        let holder = self.outdated.holder(key.digest())?;
        let asked = timeout(HOLDER_TIMEOUT, holder.open(key)).await;
        match asked {
            Ok(Ok(HeldEntry::Entry(source, open))) => {
                let meta = Arc::clone(&open.meta);
                let judge = Judge::by_tag(&meta.etag);
                Some(Some(Entry {
                    content: stream::content(source, open, judge, &self.tasks),
                    meta,
                    tier: self.remote.name(),
                }))
            }
            Ok(Ok(HeldEntry::Arrived)) => {
                self.outdated.release(key.digest());
                None
            }
            Ok(Ok(HeldEntry::Deleted)) => Some(None),
            Ok(Err(error)) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "what waits on another server is a miss"
                );
                Some(None)
            }
            Err(_late) => Some(None),
        }
    }

    /// What waits here under a key.
    pub(super) async fn waiting_entry(&self, key: &StoreKey) -> Result<WaitingEntry> {
        match self.queue.former(key.digest()) {
            Former::Nothing => Ok(WaitingEntry::Nothing),
            Former::Delete => Ok(WaitingEntry::Deleted),
            Former::Upload { .. } => {
                let entry = self.local.get(key).await?;
                Ok(entry.map_or(WaitingEntry::Nothing, WaitingEntry::Entry))
            }
        }
    }

    /// A copy that cannot be removed is not served, and removed later.
    async fn drop_outdated(&self, digest: &Digest) {
        let stop = self.tasks.stopping();
        let mut pause = MIN_PAUSE;
        while let Err(error) = self.try_drop(digest).await {
            if matches!(error, Error::Stopping) || self.outdated.leave(digest) {
                return;
            }
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an entry that another server has changed could not be removed from the disk; it is not served"
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = tasks::pause(pause) => {}
            }
            pause = MAX_PAUSE.min(pause * 2);
        }
        self.outdated.remove(digest);
    }

    async fn try_drop(&self, digest: &Digest) -> Result<()> {
        let _change = self.changes.lock(digest).await;
        match self.queue.doubt(digest) {
            true => Ok(()),
            false => self.local.discard(digest).await.map(drop),
        }
    }
}

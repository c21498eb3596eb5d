//! The disk in front of a remote tier.
//!
//! - A read takes the disk first. What is only in the remote tier is fetched once for all readers, into a
//!   file that they follow while it grows ([`fill`]).
//! - A change reaches both tiers in an order that cannot bring old bytes back ([`change`]), or the disk
//!   first and the remote tier from a queue that survives a crash ([`queue`]).
//! - With several servers over one remote tier, a local copy is compared with it from time to time ([`freshness`]).
//!
//! Invariants. The short step of a change that makes it visible runs under the lock of its key, in a task
//! that goes on when its caller leaves. A fill that began before a change was complete publishes nothing.
//! What a change is about to do stands in the record of its key before the first step ([`record`]). A key that waits
//! for the remote tier is served from the disk or not at all. A remote tier that fails costs misses and, where nothing
//! may wait, refused writes; never wrong bytes, and never what is on the disk.

mod change;
mod fill;
mod freshness;
mod newer;
mod outdated;
mod queue;
mod record;
mod recover;
mod revalidate;
mod stats;
mod uses;
mod waiting;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

pub use freshness::Revalidation;
pub use outdated::{ChangeHolder, ChangeObserver, HeldEntry, WaitingEntry};
pub use stats::TieredStats;
pub use uses::UseObserver;

use self::freshness::Freshness;
use self::outdated::Outdated;
use self::queue::UploadQueue;
use self::stats::TieredCounters;
use super::disk::Disk;
use super::early::{EarlyUpload, upload_slots};
use super::follow::{Fills, TransferContext};
use super::locks::KeyLocks;
use super::remote::RemoteTier;
use super::turns::FairSemaphore;
use super::{Draft, Entry, Error, Meta, Precondition, Result, Spool, Store, StoreKey, Stored};
use crate::config::{WhenDown, WriteMode};
use crate::tasks::{self, Tasks};

/// How long a stop waits for a change that is being made visible.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(3);

/// How both tiers work together.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// When a write is answered.
    pub write: WriteMode,
    /// What becomes of a write that the remote tier cannot take now.
    pub when_down: WhenDown,
    /// Bytes on the disk that may wait for the remote tier; beyond that a write is answered when it has it.
    pub queue_limit: u64,
    /// When a local copy is compared before it is served.
    pub revalidation: Revalidation,
    /// Whether clients read long entries that are not on the disk from the remote tier themselves.
    pub redirect: bool,
}

/// Two tiers as one. See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tiered(Arc<TieredCore>);

#[derive(Debug)]
struct TieredCore {
    local: Arc<Disk>,
    remote: Arc<dyn RemoteTier>,
    policy: Policy,
    fills: Fills,
    transfers: TransferContext,
    freshness: Freshness,
    outdated: Outdated,
    /// Hears of changes, if there are other servers.
    observer: OnceLock<Arc<dyn ChangeObserver>>,
    /// Hears of uses, if rules need them.
    uses: OnceLock<Arc<dyn UseObserver>>,
    queue: UploadQueue,
    /// Of [`EarlyUpload`]s.
    slots: Arc<FairSemaphore>,
    /// Changes of one key, one after the other.
    changes: KeyLocks,
    /// Comparisons of one key, one after the other.
    comparisons: KeyLocks,
    counters: TieredCounters,
    tasks: Tasks,
}

impl Tiered {
    /// Puts `local` in front of `remote`, settles what an earlier run left, and starts the queue. Never waits
    /// for the remote tier. Fills, commits and uploads run in `tasks`, which must end before `local` is closed.
    ///
    /// # Errors
    /// [`Error::Io`] if the records on the disk cannot be read.
    pub async fn start(
        local: Arc<Disk>,
        remote: Arc<dyn RemoteTier>,
        policy: Policy,
        tasks: &Tasks,
    ) -> Result<Self> {
        let counters = TieredCounters::default();
        let this = Self(Arc::new(TieredCore {
            fills: Fills::default(),
            transfers: TransferContext {
                tasks: tasks.clone(),
                fetched_bytes: counters.fetched_bytes.clone(),
            },
            freshness: Freshness::new(policy.revalidation),
            outdated: Outdated::default(),
            observer: OnceLock::new(),
            uses: OnceLock::new(),
            queue: UploadQueue::new(policy.queue_limit),
            slots: upload_slots(),
            changes: KeyLocks::default(),
            comparisons: KeyLocks::default(),
            counters,
            tasks: tasks.clone(),
            local,
            remote,
            policy,
        }));
        recover::recover(&this.0).await?;
        queue::start(&this.0);
        Ok(this)
    }

    /// What waits here for the remote tier under `key`, for another server.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn waiting(&self, key: &StoreKey) -> Result<WaitingEntry> {
        self.0.waiting_entry(key).await
    }

    /// Figures of this moment, for metrics.
    pub fn stats(&self) -> TieredStats {
        self.0.stats()
    }
}

#[async_trait]
impl Store for Tiered {
    async fn get(&self, key: &StoreKey) -> Result<Option<Entry>> {
        let found = match self.0.copy(key).await {
            Ok(Some(entry)) => Ok(Some(entry)),
            // Boxed to keep the future of a hit small.
            Ok(None) => self.0.damaged_is_missing(key, Box::pin(self.0.fetch(key)).await),
            Err(error) => self.0.damaged_is_missing(key, Err(error)),
        }?;
        self.0.used(key, found.as_ref().map(|entry| &*entry.meta));
        Ok(found)
    }

    async fn head(&self, key: &StoreKey) -> Result<Option<Arc<Meta>>> {
        let found = self.0.find(key).await?;
        self.0.used(key, found.as_deref());
        Ok(found)
    }

    async fn put(
        &self,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        precondition: Precondition,
    ) -> Result<Stored> {
        let stored = TieredCore::put(&self.0, key, draft, body, precondition).await?;
        self.0.stored(key, &stored.meta);
        Ok(stored)
    }

    async fn delete(&self, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        TieredCore::delete(&self.0, key, precondition).await
    }

    fn capacity(&self) -> u64 {
        // Every body waits on the disk until it is whole.
        self.0.local.spools().capacity().min(self.0.remote.capacity())
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn early_upload(&self, key: &StoreKey) -> Option<EarlyUpload> {
        let core = &self.0;
        let through = !core.queues_now() && !core.queue.is_waiting(key.digest());
        through.then(|| EarlyUpload::new(&core.remote, key, &core.slots))
    }

    fn has_links(&self) -> bool {
        self.0.policy.redirect
    }

    async fn link(&self, key: &StoreKey) -> Result<Option<Url>> {
        let core = &self.0;
        let digest = key.digest();
        // What waits, here or on another server, is not in the remote tier yet.
        let waits = core.queue.is_waiting(digest) || core.outdated.holder(digest).is_some();
        if !core.policy.redirect || waits || core.local.contains(digest).await? {
            return Ok(None);
        }
        let Some(entry) = core.remote.head(key).await? else {
            return Ok(None);
        };
        if entry.meta.size <= core.remote.source(key).plan().part_size {
            return Ok(None);
        }
        core.used(key, Some(&entry.meta));
        core.remote.link(key, &entry).await
    }
}

impl TieredCore {
    /// The description of an entry, wherever it is.
    async fn find(&self, key: &StoreKey) -> Result<Option<Arc<Meta>>> {
        match self.copy_head(key).await {
            Ok(Some(meta)) => return Ok(Some(meta)),
            Ok(None) if self.queue.is_waiting(key.digest()) => return Ok(None),
            Ok(None) => {
                if let Some(held) = Box::pin(self.held_entry(key)).await {
                    return Ok(held.map(|entry| entry.meta));
                }
            }
            Err(error) => return self.damaged_is_missing(key, Err(error)),
        }
        let found = Box::pin(self.remote.head(key)).await;
        self.damaged_is_missing(key, found.map(|found| found.map(|entry| entry.meta)))
    }

    /// The entry on the disk. A disk that fails is a miss here: the remote tier may have the entry.
    async fn local_get(&self, key: &StoreKey) -> Option<Entry> {
        readable(self.local.get(key).await)
    }

    /// The description of the entry on the disk, without a look at its body.
    async fn local_head(&self, key: &StoreKey) -> Option<Arc<Meta>> {
        readable(self.local.head(key).await)
    }

    /// Where the disk only stages, an object that is not the entry is a miss.
    fn damaged_is_missing<T>(&self, key: &StoreKey, found: Result<Option<T>>) -> Result<Option<T>> {
        match found {
            Err(error) if self.policy.revalidation == Revalidation::Always && fill::is_torn(&error) => {
                // The next writer of this entry replaces it.
                tracing::warn!(
                    entry = key.short(),
                    "the object of an entry is damaged; it counts as a miss"
                );
                Ok(None)
            }
            other => other,
        }
    }

    /// Every change that others may see passes here before it is answered, under the lock of its key: what was being
    /// fetched may be the former version.
    async fn changed(&self, key: &StoreKey) {
        self.fills.outdate(key.digest());
        self.outdated.release(key.digest());
        if let Some(observer) = self.observer.get() {
            observer.changed(key, self.queue.is_waiting(key.digest())).await;
        }
    }

    /// Runs a step to its end, whether or not its caller stays. A server that stops gives it up after a
    /// while, as a crash would: the next start finds the records.
    async fn unbroken<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let stopping = self.tasks.stopping();
        let given_up = async move {
            stopping.cancelled().await;
            tasks::pause(CHANGE_TIMEOUT).await;
        };
        let step = async move {
            tokio::select! {
                done = step => done,
                () = given_up => Err(Error::Stopping),
            }
        };
        self.tasks.spawn(step).await.map_err(|_| Error::Stopping)?
    }
}

fn readable<T>(found: Result<Option<T>>) -> Option<T> {
    found.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the disk tier could not be read");
        None
    })
}

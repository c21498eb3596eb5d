//! Pruning: entries whose bytes are gone leave the index, the ledger and the journal.
//!
//! A disk that is alone knows what it has evicted. With a bucket behind it, the bucket is asked for each entry, a few
//! at a time and at a pace that costs next to nothing: its lifecycle rules remove entries without telling anybody.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::Catalog;
use crate::cache::actions::entry::{CommittedEntry, EntryRecord};
use crate::store::StoreKey;
use crate::store::disk::Disk;
use crate::store::remote::{RemoteHealth, RemoteTier};
use crate::tasks::{Tasks, pause};

/// Time between two rounds over a disk.
const DISK_INTERVAL: Duration = Duration::from_secs(600);
/// Time between two rounds over a bucket.
const REMOTE_INTERVAL: Duration = Duration::from_secs(3600);
/// Questions to a bucket at once.
const PARALLEL_LOOKS: usize = 4;
/// The least time for each question to a bucket: a million entries take a day.
const LOOK_INTERVAL: Duration = Duration::from_millis(80);
/// An entry that is older and whose bytes are not in the bucket will never be there.
pub(in crate::cache::actions) const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Knows whether the bytes of an entry are gone.
#[async_trait]
pub trait Liveness: std::fmt::Debug + Send + Sync + 'static {
    /// Whether the bytes are gone for good; `None` if that is not known now.
    async fn is_gone(&self, key: &StoreKey) -> Option<bool>;

    /// Whether a question may leave this machine.
    fn is_remote(&self) -> bool {
        false
    }
}

/// Only for a disk that is alone: with a bucket behind it, an entry that was evicted is still there.
#[async_trait]
impl Liveness for Disk {
    async fn is_gone(&self, key: &StoreKey) -> Option<bool> {
        self.contains(key.digest()).await.ok().map(|held| !held)
    }
}

/// A disk with a remote tier behind it. Looking uses no entry: what is on the disk keeps its place there.
#[derive(Debug)]
pub struct DiskAndRemote {
    /// Asked first.
    pub disk: Arc<Disk>,
    /// Asked for what the disk does not have.
    pub remote: Arc<dyn RemoteTier>,
}

#[async_trait]
impl Liveness for DiskAndRemote {
    async fn is_gone(&self, key: &StoreKey) -> Option<bool> {
        if !self.disk.is_gone(key).await? {
            return Some(false);
        }
        if matches!(self.remote.health(), RemoteHealth::Down { .. }) {
            return None;
        }
        let found = self.remote.head(key).await.ok()?;
        Some(found.is_none())
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Runs until the server stops.
pub(super) async fn run(catalog: Catalog, tasks: Tasks) {
    let stopping = tasks.stopping();
    let is_remote = catalog
        .shared
        .liveness
        .as_ref()
        .is_some_and(|liveness| liveness.is_remote());
    let interval = if is_remote { REMOTE_INTERVAL } else { DISK_INTERVAL };
    let mut walked = Instant::now();
    let mut round = async || {
        pause(DISK_INTERVAL).await;
        catalog.tidy();
        if walked.elapsed() >= interval {
            let pruned = catalog.prune().await;
            walked = Instant::now();
            tracing::debug!(pruned, "looked for entries that are gone");
        }
    };
    while stopping.run_until_cancelled(round()).await.is_some() {}
}

impl Catalog {
    /// Forgets journals that nobody asks for.
    fn tidy(&self) {
        if let Some(follower) = &self.shared.follower {
            follower.forget_idle();
        }
    }

    /// Forgets all entries whose bytes are known to be gone. Returns how many. If the bucket cannot be asked now, it
    /// goes no further.
    pub async fn prune(&self) -> usize {
        let Some(liveness) = self.shared.liveness.clone() else {
            return 0;
        };
        let mut pruned = 0;
        for slice in self.shared.index.slices() {
            let begun = Instant::now();
            let looked = slice.len();
            let (gone, goes_on) = gone_of(&*liveness, slice).await;
            pruned += self.forget_all(gone).await;
            if !goes_on {
                break;
            }
            match liveness.is_remote() {
                true => pause((LOOK_INTERVAL * looked as u32).saturating_sub(begun.elapsed())).await,
                // The next slice may be all in memory.
                false => tokio::task::yield_now().await,
            }
        }
        pruned
    }
}

/// The entries of a slice that are gone, and whether it makes sense to go on with the next one.
async fn gone_of(liveness: &dyn Liveness, slice: Vec<CommittedEntry>) -> (Vec<CommittedEntry>, bool) {
    let old = slice
        .into_iter()
        .filter(|entry| !liveness.is_remote() || has_arrived(&entry.record));
    let looks = old.map(|entry| async move {
        let key = entry.namespace.store_key(&entry.version, &entry.key);
        (liveness.is_gone(&key).await, entry)
    });
    let mut looks = stream::iter(looks).buffer_unordered(PARALLEL_LOOKS);
    let mut gone = Vec::new();
    while let Some((answer, entry)) = looks.next().await {
        match answer {
            Some(true) => gone.push(entry),
            // The next one would wait as long for the bucket.
            None if liveness.is_remote() => return (gone, false),
            Some(false) | None => {}
        }
    }
    (gone, true)
}

/// Whether the bytes of an entry would be in the bucket by now.
pub(in crate::cache::actions) fn has_arrived(record: &EntryRecord) -> bool {
    // A time ahead of this clock counts as now.
    record.created().elapsed().unwrap_or_default() >= ARRIVAL_TIMEOUT
}

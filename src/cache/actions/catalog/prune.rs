//! Pruning: entries whose bytes were evicted leave the index.

use std::time::Duration;

use async_trait::async_trait;

use super::Catalog;
use crate::cache::actions::ledger::LedgerItem;
use crate::store::StoreKey;
use crate::store::disk::Disk;
use crate::tasks::{Tasks, pause};

/// Time between two rounds.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// Knows whether the bytes of an entry are gone, without asking a remote tier.
#[async_trait]
pub trait Liveness: std::fmt::Debug + Send + Sync + 'static {
    /// Whether the bytes are gone for good; `None` if that is not known now.
    async fn is_gone(&self, key: &StoreKey) -> Option<bool>;
}

/// Only for a disk that is alone: with a bucket behind it, an entry that was evicted is still there.
#[async_trait]
impl Liveness for Disk {
    async fn is_gone(&self, key: &StoreKey) -> Option<bool> {
        self.contains(key.digest()).await.ok().map(|held| !held)
    }
}

/// Runs until the server stops.
pub(super) async fn run(catalog: Catalog, tasks: Tasks) {
    let stopping = tasks.stopping();
    let round = async || {
        pause(PRUNE_INTERVAL).await;
        let pruned = catalog.prune().await;
        tracing::debug!(pruned, "looked for entries that are gone");
    };
    while stopping.run_until_cancelled(round()).await.is_some() {}
}

impl Catalog {
    /// Forgets all entries whose bytes are known to be gone. Returns how many.
    pub async fn prune(&self) -> usize {
        let shared = &self.shared;
        if let Some(follower) = &shared.follower {
            follower.forget_idle();
        }
        let Some(liveness) = &shared.liveness else {
            return 0;
        };
        let mut pruned = 0;
        for slice in shared.index.slices() {
            let mut gone = Vec::new();
            for entry in slice {
                let key = entry.namespace.store_key(&entry.version, &entry.key);
                if liveness.is_gone(&key).await == Some(true) && shared.index.remove(&entry) {
                    gone.push(LedgerItem::Removed(entry));
                }
            }
            pruned += gone.len();
            self.keep(gone).await;
            // The next slice may be all in memory.
            tokio::task::yield_now().await;
        }
        pruned
    }
}

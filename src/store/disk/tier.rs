//! The tier as others see it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::core::DiskCore;
use super::error::DiskOpenError;
use super::health::DiskHealth;
use super::open;
use super::role::DiskRole;
use crate::config::DiskConfig;
use crate::store::spool::SpoolDir;
use crate::store::tenant_rules::TenantRules;
use crate::store::{
    Draft, Entry, EvictionCause, Meta, Precondition, Result, Spool, Store, StoreKey, Stored, TenantFigures,
    TierName,
};
use crate::sys;
use crate::tasks::Tasks;

/// The local tier. See [`super`].
#[derive(Debug)]
pub struct Disk {
    pub(super) core: Arc<DiskCore>,
}

/// The tier at one moment. Bytes are counted as `du` counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskStats {
    /// Bytes in use, with folders and with files that are out of the index but not yet unlinked.
    pub used: u64,
    /// Bytes promised to bodies that are being written.
    pub reserved: u64,
    /// Bytes of files that are unlinked and still open.
    pub held: u64,
    /// The configured limit in bytes.
    pub limit: u64,
    /// Down to here room is made, once there is too little.
    pub low_mark: u64,
    /// Entries in the index.
    pub entries: usize,
    /// Entries of which nobody has read yet whom they belong to.
    pub unread: usize,
    /// Bytes of entries that are not evicted because another tier does not have them yet.
    pub pinned: u64,
    /// Entries evicted since the start, by the number of their [`EvictionCause`].
    pub evictions: [u64; EvictionCause::ALL.len()],
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
    /// Entries found torn, damaged or foreign since the start, and removed.
    pub corrupt: u64,
    /// Whether the scan of the start is still running.
    pub indexing: bool,
    /// Entries that can be answered without touching the disk's folders.
    pub hot_entries: usize,
    /// Bytes held in memory for them.
    pub hot_bytes: u64,
    /// Files held open for them.
    pub open_files: usize,
    /// Files that could not be unlinked and are tried again.
    pub stuck_files: usize,
}

impl DiskStats {
    /// Entries evicted since the start.
    pub fn evicted(&self) -> u64 {
        self.evictions.iter().sum()
    }
}

impl Disk {
    /// Opens the directory, makes it if it does not exist, and starts the evictor, the scan and the
    /// writer of snapshots. Returns before the scan has ended.
    ///
    /// # Errors
    /// [`DiskOpenError`] names the key of the configuration, the path and the remedy.
    pub async fn open(config: &DiskConfig, tasks: &Tasks) -> Result<Arc<Self>, DiskOpenError> {
        Self::open_as(DiskRole::Tier, config, tasks).await
    }

    /// The same for a directory with another role.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub async fn open_as(
        role: DiskRole,
        config: &DiskConfig,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, DiskOpenError> {
        let core = open::open(config, role, tasks).await?;
        Ok(Arc::new(Self { core }))
    }

    /// What the directory is for.
    pub fn role(&self) -> DiskRole {
        self.core.role
    }

    /// From now on these rules say what shares tenants have, and what they are replaced by.
    pub fn follow(&self, rules: &TenantRules) {
        self.core.budget.shares().table().follow(rules.clone());
        self.core.rules.follow(rules);
        self.rules_changed();
    }

    /// The rules that are followed were replaced: what tenants hold beyond them goes soon.
    pub fn rules_changed(&self) {
        self.core.rules.change();
        self.core.budget.wake();
    }

    /// Where bodies for [`Store::put`] are made.
    pub fn spools(&self) -> SpoolDir {
        self.core.spools.clone()
    }

    /// Whether the directory could be used at the last look.
    pub fn health(&self) -> DiskHealth {
        self.core.health.last()
    }

    /// Figures of this moment, for metrics.
    pub fn stats(&self) -> DiskStats {
        let core = &self.core;
        let (used, reserved) = core.budget.figures();
        let (entries, unread, pinned, (hot_entries, hot_bytes, open_files)) = core.read_index(|index| {
            let (entries, unread) = (index.len(), index.unread());
            (entries, unread, index.pinned_bytes(), index.hot_figures())
        });
        DiskStats {
            used,
            reserved,
            held: core.budget.held(),
            limit: core.budget.limit(),
            low_mark: core.budget.low(),
            entries,
            unread,
            pinned,
            evictions: core
                .counters
                .evictions
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
            evicted_bytes: core.counters.evicted_bytes.load(Ordering::Relaxed),
            corrupt: core.counters.corrupt.load(Ordering::Relaxed),
            indexing: !core.scan.done.is_cancelled(),
            hot_entries,
            hot_bytes,
            open_files,
            stuck_files: core.unlink_retry.len(),
        }
    }

    /// The tenants, of which at most `most` apart. Takes time for all of them.
    pub fn tenants(&self, most: usize) -> TenantFigures {
        self.core.budget.shares().figures(most)
    }

    /// Free bytes of the volume; `None` if it cannot be asked.
    pub fn volume_free(&self) -> Option<u64> {
        sys::volume_free(self.core.layout.root())
    }

    /// Waits for running commits, writes the snapshot and gives the directory free for another
    /// process. Writes fail with [`crate::store::Error::Stopping`] from now on. Failing to write the snapshot is
    /// logged: the next start scans instead.
    pub async fn close(&self) {
        self.core.close().await;
    }

    /// Resolves when the scan of the start has ended, or the server stops.
    pub async fn indexed(&self) {
        self.core.indexed().await;
    }
}

#[async_trait]
impl Store for Disk {
    async fn get(&self, key: &StoreKey) -> Result<Option<Entry>> {
        let found = self.core.find_sound(key).await?;
        Ok(found.map(|found| found.opened.entry.clone().asked_by(key.asker())))
    }

    async fn head(&self, key: &StoreKey) -> Result<Option<Arc<Meta>>> {
        let found = self.core.find(key).await?;
        Ok(found.map(|found| Arc::clone(&found.opened.entry.meta)))
    }

    async fn put(
        &self,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        precondition: Precondition,
    ) -> Result<Stored> {
        let meta = self.core.put(key, draft, body, &precondition).await?;
        let tier = TierName::DISK;
        Ok(Stored { meta, tier })
    }

    async fn delete(&self, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        self.core.delete(key, &precondition).await
    }

    fn capacity(&self) -> u64 {
        self.core.spools.capacity()
    }
}

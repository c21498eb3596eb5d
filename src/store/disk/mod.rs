//! The local tier: one immutable file per version of an entry, and an index of them in memory.
//!
//! - A commit writes a file, gives it a name that no other version ever has, and swaps a slot of the
//!   [`index`]. Overwriting, evicting and deleting therefore never meet on one path.
//! - A hit is one short lock and no call to the operating system; what is hot is held open or in
//!   memory ([`hot`]). A cold entry costs one hop to the blocking pool.
//! - Bytes are checked when this process sees them for the first time ([`mod@file`]); damage is a miss.
//! - The bound on the volume is kept by [`super::budget`]; [`evict`] makes room off the request path.
//! - A start reads a snapshot and answers at once; a scan in the background puts it right ([`recover`]).
//!
//! Invariants. No entry is visible before it is whole. Commits and deletes of one digest are ordered
//! by the lock of its shard folder ([`shards`]), which is taken before the lock of the index, never
//! after it. A deleted entry has no file when the answer is given. What `du` counts below the directory
//! never exceeds the limit by anything that is written here.
//!
//! A body held in memory is answered even if its file was removed from outside; it is noticed when the
//! body leaves memory. Files held open are looked at once a second.

mod core;
mod delete;
mod error;
mod evict;
mod file;
mod format;
mod get;
mod hot;
mod index;
mod layout;
mod shards;
mod unlink_retry;
mod lru;
mod marks;
mod tiering;
mod open;
#[doc(hidden)]
pub mod probe;
mod put;
mod recover;
mod slab;
mod snapshot;
mod stats;

use std::sync::Arc;

use async_trait::async_trait;

pub use error::OpenError;
pub use marks::{Left, Mark};
pub use open::open_files;
pub use stats::DiskStats;

use self::core::Core;
use super::spool::SpoolDir;
use super::{Draft, Entry, Meta, Precondition, Result, Spool, Store, StoreKey};
use crate::config::DiskConfig;
use crate::tasks::Tasks;

/// The local tier. See the module.
#[derive(Debug)]
pub struct Disk {
    core: Arc<Core>,
}

impl Disk {
    /// Opens the directory, makes it if it does not exist, and starts the evictor, the scan and the
    /// writer of snapshots. Returns before the scan has ended.
    ///
    /// # Errors
    /// [`OpenError`] names the key of the configuration, the path and the remedy.
    pub async fn open(config: &DiskConfig, tasks: &Tasks) -> Result<Arc<Self>, OpenError> {
        let core = open::open(config, tasks).await?;
        Ok(Arc::new(Self { core }))
    }

    /// Where bodies for [`Store::put`] are made.
    pub fn spools(&self) -> SpoolDir {
        self.core.spools.clone()
    }

    /// Figures of this moment, for metrics.
    pub fn stats(&self) -> DiskStats {
        self.core.stats()
    }

    /// Waits for running commits, writes the snapshot and gives the directory free for another
    /// process. Writes fail with [`super::Error::Stopping`] from now on. Failing to write the snapshot is
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
        let found = self.core.find(key).await?;
        Ok(found.map(|found| found.opened.entry.clone()))
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
    ) -> Result<Arc<Meta>> {
        self.core.put(key, draft, body, &precondition).await
    }

    async fn delete(&self, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        self.core.delete(key, &precondition).await
    }

    fn capacity(&self) -> u64 {
        self.core.spools.capacity()
    }
}

//! What all parts of the tier share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::boot::BootNote;
use super::file::Condemn;
use super::format::EntryError;
use super::handles::FileHandles;
use super::health::HealthCheck;
use super::hot::{HotTable, OpenedEntry};
use super::index::{ExpectedVersion, FileRecord, Index};
use super::layout::{Layout, shard_of};
use super::records::Records;
use super::role::DiskRole;
use super::rules::FollowedRules;
use super::shards::{self, Shards, StartScan};
use super::snapshot::{Snapshot, SnapshotCause};
use super::unlink_retry::UnlinkRetry;
use crate::config::Durability;
use crate::store::Digest;
use crate::store::budget::Budget;
use crate::store::lock::DirLock;
use crate::store::shares::{NumberedTenancy, TenantHandle};
use crate::store::spool::SpoolDir;
use crate::store::turns::{Asker, file_turn};
use crate::store::{Error, EvictionCause, Precondition, Rank, Result, StoreKey, Tenancy};
use crate::tasks::Tasks;
use crate::telemetry::seldom::is_time;

/// See the module.
#[derive(Debug)]
pub(super) struct DiskCore {
    pub(super) layout: Layout,
    pub(super) role: DiskRole,
    pub(super) shards: Shards,
    pub(super) unlink_retry: UnlinkRetry,
    pub(super) budget: Arc<Budget>,
    pub(super) handles: FileHandles,
    pub(super) spools: SpoolDir,
    pub(super) tasks: Tasks,
    /// Those that touch the folder of uploads: they end before the directory is given free.
    pub(super) uploads: Tasks,
    pub(super) scan: StartScan,
    pub(super) snapshot: Snapshot,
    pub(super) records: Records,
    pub(super) boot: BootNote,
    pub(super) health: HealthCheck,
    pub(super) rules: FollowedRules,
    pub(super) counters: DiskCounters,
    pub(super) durability: Durability,
    /// Bytes of the volume that are left to others.
    pub(super) min_free: u64,
    /// Bytes of bodies that may be held in memory.
    pub(super) memory: u64,
    pub(super) lock: DirLock,
    /// Ends the background tasks of this tier.
    pub(super) stop: CancellationToken,
    pub(super) closed: AtomicBool,
    /// Changes under way.
    pub(super) passes: TaskTracker,
    pub(super) last_generation: AtomicU64,
    pub(super) hot: Arc<HotTable>,
    pub(super) index: RwLock<Index>,
}

/// What only grows.
#[derive(Debug, Default)]
pub(super) struct DiskCounters {
    /// By the number of their cause.
    pub(super) evictions: [AtomicU64; EvictionCause::ALL.len()],
    pub(super) evicted_bytes: AtomicU64,
    pub(super) corrupt: AtomicU64,
}

/// An entry that was looked up.
#[derive(Debug)]
pub(super) struct FoundEntry {
    pub(super) generation: u64,
    pub(super) opened: Arc<OpenedEntry>,
}

/// Microseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

/// A file stays although its entry is gone; see [`super::unlink_retry`].
pub(super) fn cannot_remove(role: DiskRole, error: &std::io::Error) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if is_time(&LAST) {
        tracing::error!(
            %error,
            "cannot remove a file of the cache; it is tried again, check the volume and the permissions of {}",
            role.dir_key()
        );
    }
}

impl DiskCore {
    /// Changes the index. `work` must be short and must not touch the disk.
    pub(super) fn index<R>(&self, work: impl FnOnce(&mut Index) -> R) -> R {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = work(&mut index);
        let cooled = std::mem::take(&mut index.cooled.cells);
        drop(index);
        // Files are closed here, outside of the lock.
        drop(cooled);
        outcome
    }

    /// Looks into the index, beside others who do the same. `work` must be short and must not touch the disk.
    pub(super) fn read_index<R>(&self, work: impl FnOnce(&Index) -> R) -> R {
        work(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A tenancy in numbers, which hold as long as the handle does.
    pub(super) fn number(&self, tenancy: Option<&Tenancy>) -> (TenantHandle, NumberedTenancy) {
        let tenant = tenancy.map(|tenancy| &tenancy.tenant);
        let handle = TenantHandle::new(self.budget.shares(), tenant);
        let numbered = NumberedTenancy {
            tenant: handle.number(),
            rank: tenancy.map_or(Rank::Other, |tenancy| tenancy.rank),
        };
        (handle, numbered)
    }

    /// Runs `work` in the blocking pool.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<T> {
        let core = Arc::clone(self);
        let hop = self.tasks.spawn_blocking(move || work(&core));
        hop.await.map_err(|_| Error::Stopping)
    }

    /// The same for work on files that a tenant waits for: those who do take turns.
    pub(super) async fn blocking_for<T: Send + 'static>(
        self: &Arc<Self>,
        asker: Asker,
        work: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<T> {
        let turn = file_turn(asker).await;
        let work = move |core: &Arc<Self>| {
            let _turn = turn;
            work(core)
        };
        self.blocking(work).await
    }

    /// Permission to change something; [`DiskCore::close`] waits until it is dropped.
    pub(super) fn enter(&self) -> Result<TaskTrackerToken> {
        let pass = self.passes.token();
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::Stopping);
        }
        Ok(pass)
    }

    /// A generation greater than all before, close to the time in microseconds.
    pub(super) fn next_generation(&self) -> u64 {
        let now = now();
        let next = |last: u64| now.max(last + 1);
        self.last_generation
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)))
            .map_or(now, next)
    }

    /// Generations of earlier runs stay behind those of this one, whatever the clock says.
    pub(super) fn saw_generation(&self, generation: u64) {
        self.last_generation.fetch_max(generation, Ordering::AcqRel);
    }

    /// Blocking: unlinks a file that has left the index. Answers whether there was one. The version that it once
    /// replaced must not come back in its place.
    pub(super) fn retire(&self, retired: &FileRecord) -> std::io::Result<bool> {
        let number = shard_of(&retired.digest);
        let mut shard = self.shards.lock(number);
        self.sync_unlinks(number, &mut shard)
            .inspect_err(|_| self.unlink_retry.add(retired))?;
        let existed = self.retire_in(&mut shard, retired)?;
        // With another one in its place, it was a former one itself.
        shard.unsynced |= existed && self.read_index(|index| index.current(&retired.digest)).is_some();
        Ok(existed)
    }

    /// Blocking, with the lock of the shard: versions that were replaced are gone for good, also after a power loss.
    pub(super) fn sync_unlinks(&self, number: usize, shard: &mut shards::ShardDir) -> std::io::Result<()> {
        match shard.unsynced && self.durability == Durability::Fsync {
            true => shards::sync(&self.layout, number, shard),
            false => Ok(()),
        }
    }

    /// The same for those who hold the lock of the shard already. A file that stays is tried again later,
    /// and its bytes stay counted until then. Those of a file that somebody has open are held from now on.
    pub(super) fn retire_in(
        &self,
        shard: &mut shards::ShardDir,
        retired: &FileRecord,
    ) -> std::io::Result<bool> {
        let (existed, grown) = shards::discard(&self.layout, shard, &(retired.digest, retired.generation))
            .inspect_err(|_| self.unlink_retry.add(retired))?;
        self.index(|index| index.retired(retired.generation));
        self.handles.unlinked(retired.generation, retired.bytes());
        self.budget.adjust(grown - retired.bytes() as i64);
        Ok(existed)
    }

    /// Blocking: removes one version of an entry, if it is still there.
    pub(super) fn forget(&self, digest: &Digest, generation: u64) -> bool {
        let removed = self.index(|index| index.remove(digest, ExpectedVersion::Exactly(Some(generation))));
        if let Some(retired) = &removed
            && let Err(error) = self.retire(retired)
        {
            cannot_remove(self.role, &error);
        }
        removed.is_some()
    }

    /// What the index must hold for a change under `precondition`.
    pub(super) async fn expect(
        self: &Arc<Self>,
        key: &StoreKey,
        precondition: &Precondition,
    ) -> Result<ExpectedVersion> {
        if *precondition == Precondition::None {
            return Ok(ExpectedVersion::Any);
        }
        let found = self.find(key).await?;
        let etag = found.as_ref().map(|found| &found.opened.entry.meta.etag);
        if !precondition.holds(etag) {
            return Err(Error::Precondition);
        }
        Ok(ExpectedVersion::Exactly(found.map(|found| found.generation)))
    }

    /// See [`super::Disk::close`].
    pub(super) async fn close(self: &Arc<Self>) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.uploads.finish().await;
        self.passes.close();
        self.passes.wait().await;
        // Whatever the scan has not seen yet is not in the index.
        let whole = self.scan.complete.load(Ordering::SeqCst);
        let save = move |core: &Arc<Self>| {
            core.stay_ours();
            core.write_snapshot(SnapshotCause::Close { whole })
        };
        let written = self.blocking(save).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "could not write the snapshot of the cache index; the next start scans");
        }
        if let Ok(Err(error)) = self.blocking(|core| core.boot.stopped()).await {
            tracing::warn!(%error, "could not note the stop; after a power loss entries are compared once more");
        }
        self.stop.cancel();
        self.budget.close();
        self.lock.release();
    }
}

impl Condemn for DiskCore {
    fn condemn(&self, digest: &Digest, generation: u64, flaw: EntryError) {
        // After the close, the directory may be another server's.
        let Ok(_pass) = self.enter() else { return };
        if self.forget(digest, generation) {
            self.counters.corrupt.fetch_add(1, Ordering::Relaxed);
            let file = self.layout.entry(digest, generation);
            tracing::warn!(file = %file.display(), reason = %flaw, "removed a damaged cache entry");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::config::DiskConfig;
    use crate::store::disk::Disk;
    use crate::store::{Draft, Metadata, Origin, Protocol, Store};

    fn key() -> StoreKey {
        StoreKey::new("issuer".into(), "namespace".into(), Protocol::Http, *b"key")
    }

    async fn put(disk: &Disk, body: &'static [u8]) {
        let mut writer = disk.spools().create(None).await.expect("room");
        writer.write(body.into()).await.expect("written");
        let draft = Draft {
            origin: Origin {
                issuer: "issuer".into(),
                subject: "job".into(),
                stored: UNIX_EPOCH,
                tenancy: None,
            },
            metadata: Metadata::default(),
        };
        let body = writer.finish().await.expect("a body");
        disk.put(&key(), draft, body, Precondition::None)
            .await
            .expect("stored");
    }

    async fn open(dir: &std::path::Path, tasks: &Tasks) -> Arc<Disk> {
        let config = DiskConfig {
            dir: dir.to_owned(),
            limit: 16 << 20,
            min_free: 0,
            durability: Durability::Fsync,
            memory: 1 << 20,
            open_files: None,
            revalidate_after: None,
        };
        let disk = Disk::open(&config, tasks).await.expect("a disk");
        disk.indexed().await;
        disk
    }

    #[tokio::test]
    async fn a_hit_does_not_wait_for_an_eviction() {
        let (dir, tasks) = (tempfile::tempdir().expect("folder"), Tasks::new());
        let disk = open(dir.path(), &tasks).await;
        put(&disk, b"body").await;
        let other = Arc::clone(&disk);
        let (sender, answer) = std::sync::mpsc::channel();
        let evicting = disk.core.index.write().expect("the lock");
        let reader = std::thread::spawn(move || sender.send(other.get(&key()).now_or_never()));
        let answer = answer.recv_timeout(Duration::from_secs(20));
        drop(evicting);
        let entry = answer.expect("a hit waits").expect("a hit awaits something");
        assert_eq!(entry.expect("no error").expect("an entry").meta.size, 4);
        reader.join().expect("no panic").expect("somebody listens");
        disk.close().await;
        tasks.finish().await;
    }

    /// A volume keeps the order of two removals by chance only, so no copy of one can show this.
    #[tokio::test]
    async fn a_replaced_version_is_gone_for_good_before_the_later_one_goes() {
        let (dir, tasks) = (tempfile::tempdir().expect("folder"), Tasks::new());
        let disk = open(dir.path(), &tasks).await;
        let (core, digest) = (&disk.core, *key().digest());
        let may_come_back = || core.shards.lock(shard_of(&digest)).unsynced;
        // Nobody knows what an earlier run has removed.
        assert!(may_come_back());
        put(&disk, b"former").await;
        assert!(!may_come_back());
        put(&disk, b"later").await;
        assert!(may_come_back());
        // Damaged, and removed by whoever finds that.
        let later = core.index(|index| index.current(&digest)).expect("an entry");
        assert!(core.forget(&digest, later));
        assert!(!may_come_back());
        // Removed by an attempt that comes after the next version.
        put(&disk, b"former").await;
        let former = core.index(|index| index.remove(&digest, ExpectedVersion::Any));
        put(&disk, b"later").await;
        assert!(!may_come_back());
        assert!(core.retire(&former.expect("an entry")).expect("removed"));
        assert!(may_come_back());
        disk.close().await;
        tasks.finish().await;
    }
}

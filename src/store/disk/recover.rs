//! The scan of the start: brings index and directory together while the server answers already.
//!
//! A shard folder is scanned before anything is looked up or changed under a digest that belongs into
//! it and that the snapshot does not know. So a look-up never misses what is on the disk, and a scan
//! never meets a file of this run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use futures_util::{StreamExt, stream};

use super::core::{DiskCore, now};
use super::index::{FileRecord, ScanOutcome};
use super::layout::{SHARD_COUNT, parse, shard_of};
use super::shards::{self, ShardDir};
use super::slab::ListKind;
use super::snapshot::load::SnapshotLoader;
use crate::store::Digest;
use crate::store::budget::{BLOCK_BYTES, whole_blocks};
use crate::store::{Error, Result};
use crate::sys;

/// Slots of the index that are looked at under one lock.
pub(super) const SLICE_SLOTS: usize = 4096;
/// Most folders that are scanned at the same time.
const MAX_SCANS: usize = 4;

impl DiskCore {
    /// Makes sure that the index holds what is on the disk under this digest.
    pub(super) async fn know(self: &Arc<Self>, digest: &Digest) -> Result<()> {
        if self.scan.knows(digest) {
            return Ok(());
        }
        let scanned = self.know_shard(shard_of(digest)).await;
        scanned.map_err(|error| Error::io("scanning a folder of the cache", error))
    }

    async fn know_shard(self: &Arc<Self>, number: usize) -> io::Result<()> {
        let scan = || async {
            let core = Arc::clone(self);
            let hop = self.tasks.spawn_blocking(move || core.scan_shard(number));
            hop.await.map_err(io::Error::other)?
        };
        self.scan.shards[number].get_or_try_init(scan).await?;
        Ok(())
    }

    /// See [`super::Disk::indexed`].
    pub(super) async fn indexed(&self) {
        tokio::select! {
            () = self.scan.done.cancelled() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Blocking: brings one shard folder and the index together.
    fn scan_shard(&self, number: usize) -> io::Result<()> {
        let mut shard = self.shards.lock(number);
        if shard.scanned {
            return Ok(());
        }
        let folder = sys::if_exists(std::fs::read_dir(self.layout.shard(number)))?;
        shard.files = 0;
        for file in folder.into_iter().flatten() {
            let file = file?;
            // One file that cannot be read or removed must not cost the index all the others.
            if let Err(error) = self.scan_file(number, &mut shard, &file) {
                tracing::error!(path = %file.path().display(), %error, "a file of the cache directory that cannot be handled; remove it");
                shard.files += 1;
                let bytes = file.metadata().map_or(0, |metadata| sys::block_bytes(&metadata));
                self.budget.adjust(bytes as i64);
            }
        }
        shard.scanned = true;
        let mut grown = shards::measure(&self.layout, number, &mut shard);
        if shard.files == 0 && shard.bytes > 0 && std::fs::remove_dir(self.layout.shard(number)).is_ok() {
            grown -= std::mem::take(&mut shard.bytes) as i64;
        }
        self.budget.adjust(grown);
        Ok(())
    }

    fn scan_file(&self, number: usize, shard: &mut ShardDir, file: &std::fs::DirEntry) -> io::Result<()> {
        let name = file.file_name();
        let parsed = name.to_str().and_then(|name| parse(number, name));
        if let Some((digest, generation)) = &parsed
            && file.file_type()?.is_file()
            && self.index(|index| index.meet(digest, *generation))
        {
            // A version never changes, so its size is known.
            self.saw_generation(*generation);
            shard.files += 1;
            return Ok(());
        }
        // It may have been evicted meanwhile.
        let Some(metadata) = sys::if_exists(file.metadata())? else {
            return Ok(());
        };
        let Some((digest, generation)) = parsed.filter(|_| metadata.is_file()) else {
            return self.remove_stray(file);
        };
        self.saw_generation(generation);
        let bytes = whole_blocks(metadata.len()).max(sys::block_bytes(&metadata));
        let record = FileRecord {
            digest,
            generation,
            stamp: modified(&metadata).min(now()),
            blocks: u32::try_from(bytes / BLOCK_BYTES).unwrap_or(u32::MAX),
            belongs: None,
        };
        match self.index(|index| index.found(&record)) {
            ScanOutcome::Known(grown) => self.budget.adjust(grown),
            ScanOutcome::Added(grown) => {
                self.scan.added.fetch_add(1, Ordering::Relaxed);
                self.budget.adjust(grown);
            }
            ScanOutcome::Replaced(grown, former) => {
                shards::unlink(&self.layout, &(digest, former))?;
                shard.unsynced = true;
                self.scan.removed.fetch_add(1, Ordering::Relaxed);
                // An attempt that broke off may have counted the former one, and this one not.
                shard.files = shard.files.saturating_sub(1);
                self.budget.adjust(grown);
            }
            ScanOutcome::Older => {
                shard.unsynced = true;
                return self.remove_stray(file);
            }
            // The evictor counts it down when it has unlinked it.
            ScanOutcome::Retiring => {}
        }
        shard.files += 1;
        Ok(())
    }

    fn remove_stray(&self, file: &std::fs::DirEntry) -> io::Result<()> {
        if file.file_type()?.is_dir() {
            tracing::warn!(path = %file.path().display(), "a folder that does not belong into the cache");
            return Ok(());
        }
        self.scan.removed.fetch_add(1, Ordering::Relaxed);
        std::fs::remove_file(file.path())
    }

    /// Blocking: which shard folders there are. Everything else at that level is removed.
    fn list_shards(&self) -> io::Result<Vec<usize>> {
        let mut shards = Vec::new();
        for parent in 0..16 {
            let Some(folder) = sys::if_exists(std::fs::read_dir(self.layout.parent(parent << 8)))? else {
                continue;
            };
            let grown = self.shards.measure_parent(&self.layout, parent << 8)?;
            self.budget.adjust(grown);
            for file in folder {
                let file = file?;
                let name = file.file_name();
                let shard = (0..256).find(|shard| name.to_str() == Some(&format!("{shard:02x}")));
                match shard.filter(|_| file.path().is_dir()) {
                    Some(shard) => shards.push(parent << 8 | shard),
                    None => self.remove_stray(&file).unwrap_or_else(|error| {
                        tracing::error!(path = %file.path().display(), %error, "a file that does not belong into the cache; remove it");
                    }),
                }
            }
        }
        Ok(shards)
    }

    /// Blocking: removes records of the snapshot that have no file.
    fn sweep(&self) {
        let end = self.read_index(|index| index.slab.end());
        for from in (0..end).step_by(SLICE_SLOTS) {
            for gone in self.index(|index| index.sweep(from, SLICE_SLOTS)) {
                self.index(|index| index.retired(gone.generation));
                self.budget.freed(gone.bytes());
                self.scan.removed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Puts the entries of a list into the order of their last use, or of their files' times if only the scan knew
    /// them: collected and moved in slices, sorted without the lock, so that requests are never held up for long.
    pub(super) fn order(&self, list: ListKind) {
        let (mut slots, mut from) = (Vec::new(), 0);
        while self.read_index(|index| index.list_slots(list, from, SLICE_SLOTS, &mut slots)) {
            from += SLICE_SLOTS;
        }
        slots.sort_unstable();
        for slice in slots.chunks(SLICE_SLOTS) {
            self.index(|index| index.order(list, slice));
        }
    }

    /// There was no such folder, and only a scan of it could have made way for one.
    fn know_shard_is_empty(&self, number: usize) {
        let mut shard = self.shards.lock(number);
        if !shard.scanned {
            shard.scanned = true;
            self.budget.adjust(-(std::mem::take(&mut shard.bytes) as i64));
        }
        drop(shard);
        // Somebody else may have been faster.
        let _known = self.scan.shards[number].set(());
    }
}

/// Blocking: takes what has no file any more out of the index, in slices.
pub(super) fn forget_lost(core: &DiskCore) {
    let (mut from, mut more) = (0, true);
    while more && !core.stop.is_cancelled() {
        let mut slice = Vec::new();
        more = core.read_index(|index| index.records(from, SLICE_SLOTS, |record| slice.push(record)));
        from += SLICE_SLOTS;
        for record in slice {
            let file = core.layout.entry(&record.digest, record.generation);
            if matches!(sys::if_exists(file.symlink_metadata()), Ok(None)) {
                core.forget(&record.digest, record.generation);
            }
        }
    }
}

/// Reads the rest of the snapshot and scans everything once, unless the tier stops before.
pub(super) async fn run(core: Arc<DiskCore>, unread: Option<SnapshotLoader>) {
    let load_and_scan = async {
        if let Some(loader) = unread {
            let load = core.blocking(move |core| core.load_snapshot(loader, None));
            load.await.map_err(io::Error::other)?;
        }
        scan_all(&core).await
    };
    let outcome = tokio::select! {
        () = core.stop.cancelled() => return,
        outcome = load_and_scan => outcome,
    };
    match outcome {
        Ok(true) => {
            core.scan.complete.store(true, Ordering::SeqCst);
            tracing::info!(
                entries = core.read_index(|index| index.len()),
                added = core.scan.added.load(Ordering::Relaxed),
                removed = core.scan.removed.load(Ordering::Relaxed),
                "indexed the cache directory"
            );
        }
        Ok(false) => tracing::error!("some folders of the cache directory could not be indexed"),
        Err(error) => tracing::error!(%error, "could not index the cache directory"),
    }
    core.scan.done.cancel();
    core.budget.settled();
}

/// Whether every shard folder could be scanned. What belongs to one that could not stays as the snapshot
/// has it.
async fn scan_all(core: &Arc<DiskCore>) -> io::Result<bool> {
    let blocking = Arc::clone(core);
    let hop = core.tasks.spawn_blocking(move || blocking.list_shards());
    let mut there = vec![false; SHARD_COUNT];
    for shard in hop.await.map_err(io::Error::other)?? {
        there[shard] = true;
    }
    let mut whole = true;
    let scan = |number| async move { (number, core.know_shard(number).await) };
    let numbers = (0..SHARD_COUNT).filter(|number| there[*number]);
    let at_once = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_SCANS));
    let mut scans = stream::iter(numbers).map(scan).buffer_unordered(at_once);
    while let Some((number, scanned)) = scans.next().await {
        if let Err(error) = scanned {
            tracing::error!(folder = format!("{number:03x}"), %error, "a folder of the cache cannot be read");
            whole = false;
        }
    }
    drop(scans);
    let blocking = Arc::clone(core);
    let hop = core.tasks.spawn_blocking(move || {
        for number in (0..SHARD_COUNT).filter(|number| !there[*number]) {
            blocking.know_shard_is_empty(number);
        }
        if whole {
            blocking.sweep();
        }
        blocking.order(ListKind::Found);
    });
    hop.await.map_err(io::Error::other)?;
    Ok(whole)
}

fn modified(metadata: &std::fs::Metadata) -> u64 {
    metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_micros() as u64)
}

//! The shard folders: made when a file needs them, measured, removed when they are empty.
//!
//! Each has a lock of its own, held across a few calls to the operating system by blocking threads
//! only. So a folder is never removed under a file that is on its way into it, and its size, which a
//! volume counts like any file's, is always the one that was measured last.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::layout::{Layout, SHARD_COUNT, shard_of};
use crate::store::Digest;
use crate::sys;

/// One version of an entry: digest and generation.
pub(super) type EntryVersion = (Digest, u64);

/// See the module.
#[derive(Debug)]
pub(super) struct Shards {
    shards: Box<[Mutex<ShardDir>]>,
    /// Bytes of the 16 folders above.
    parents: [AtomicU64; 16],
}

/// What is known about a shard folder.
#[derive(Debug, Default)]
pub(super) struct ShardDir {
    /// Files in it, once it is scanned.
    pub(super) files: u64,
    /// Bytes that the folder itself takes; 0 if there is none.
    pub(super) bytes: u64,
    pub(super) scanned: bool,
    /// An overwritten version was unlinked, by an earlier run too, and a power loss may bring it back still.
    pub(super) unsynced: bool,
}

impl Shards {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARD_COUNT).map(|_| Mutex::new(unknown())).collect(),
            parents: Default::default(),
        }
    }

    pub(super) fn lock(&self, shard: usize) -> MutexGuard<'_, ShardDir> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocking: gives a finished file its final name. Answers how many bytes the folders grew.
    pub(super) fn place(
        &self,
        layout: &Layout,
        shard: &mut ShardDir,
        from: &Path,
        to: &EntryVersion,
    ) -> io::Result<i64> {
        let path = layout.entry(&to.0, to.1);
        let number = shard_of(&to.0);
        let mut grown = 0;
        if sys::if_exists(std::fs::rename(from, &path))?.is_none() {
            sys::create_private_dir(&layout.shard(number))?;
            grown += self.measure_parent(layout, number)?;
            std::fs::rename(from, &path)?;
        }
        shard.files += 1;
        Ok(grown + measure(layout, number, shard))
    }

    /// Blocking: measures the folder above a shard.
    pub(super) fn measure_parent(&self, layout: &Layout, shard: usize) -> io::Result<i64> {
        let now = sys::block_bytes(&layout.parent(shard).metadata()?);
        let before = self.parents[shard >> 8].swap(now, Ordering::Relaxed);
        Ok(now as i64 - before as i64)
    }
}

/// A folder of which nothing is known.
fn unknown() -> ShardDir {
    ShardDir {
        unsynced: true,
        ..ShardDir::default()
    }
}

/// Blocking: measures a shard folder. Answers how many bytes it grew.
pub(super) fn measure(layout: &Layout, number: usize, shard: &mut ShardDir) -> i64 {
    let before = shard.bytes;
    shard.bytes = sys::path_block_bytes(&layout.shard(number));
    shard.bytes as i64 - before as i64
}

/// Blocking: unlinks a file; it is no error if it is gone. Removes the folder with the last file.
/// Answers whether there was one, and how many bytes the folders grew: none, or less than none.
pub(super) fn discard(layout: &Layout, shard: &mut ShardDir, file: &EntryVersion) -> io::Result<(bool, i64)> {
    let existed = unlink(layout, file)?;
    shard.files = shard.files.saturating_sub(1);
    // Before the scan the count is 0, and the folder itself knows whether it is empty.
    let removed = || sys::if_exists(std::fs::remove_dir(layout.shard(shard_of(&file.0))));
    // One that is gone already takes no bytes either.
    if shard.files > 0 || removed().is_err() {
        return Ok((existed, 0));
    }
    Ok((existed, -(std::mem::take(&mut shard.bytes) as i64)))
}

/// Blocking: unlinks a file and nothing else. Answers whether there was one.
pub(super) fn unlink(layout: &Layout, file: &EntryVersion) -> io::Result<bool> {
    let unlinked = std::fs::remove_file(layout.entry(&file.0, file.1));
    Ok(sys::if_exists(unlinked)?.is_some())
}

/// Blocking: what happened to the files of a shard so far survives a power loss.
pub(super) fn sync(layout: &Layout, number: usize, shard: &mut ShardDir) -> io::Result<()> {
    // Without a folder, its end is what the folder above has to remember.
    match sys::if_exists(File::open(layout.shard(number)))? {
        Some(folder) => folder.sync_all()?,
        None => {
            if let Some(parent) = sys::if_exists(File::open(layout.parent(number)))? {
                parent.sync_all()?;
            }
        }
    }
    shard.unsynced = false;
    Ok(())
}

/// How far the scan of the start has come.
#[derive(Debug)]
pub(super) struct StartScan {
    pub(super) shards: Box<[OnceCell<()>]>,
    /// Set when the scan has ended, whatever came of it.
    pub(super) done: CancellationToken,
    /// Whether it has seen everything; only then is the index the whole truth.
    pub(super) complete: AtomicBool,
    pub(super) added: AtomicU64,
    pub(super) removed: AtomicU64,
}

impl StartScan {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARD_COUNT).map(|_| OnceCell::new()).collect(),
            done: CancellationToken::new(),
            complete: AtomicBool::new(false),
            added: AtomicU64::new(0),
            removed: AtomicU64::new(0),
        }
    }

    /// Whether everything on the disk under this digest is in the index.
    pub(super) fn knows(&self, digest: &Digest) -> bool {
        self.shards[shard_of(digest)].initialized()
    }
}

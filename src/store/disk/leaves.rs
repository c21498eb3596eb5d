//! The leaf folders: made when a file needs them, measured, removed when they are empty.
//!
//! Each has a lock of its own, held across a few calls to the operating system by blocking threads
//! only. So a folder is never removed under a file that is on its way into it, and its size, which a
//! volume counts like any file's, is always the one that was measured last.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::layout::{LEAVES, Layout, leaf_of};
use crate::store::Digest;
use crate::sys;

/// One version of an entry: digest and generation.
pub(super) type File = (Digest, u64);

/// See the module.
#[derive(Debug)]
pub(super) struct Leaves {
    leaves: Box<[Mutex<Leaf>]>,
    /// Bytes of the 16 folders above.
    parents: [AtomicU64; 16],
}

/// What is known about a leaf folder.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// Files in it, once it is scanned.
    pub(super) files: u64,
    /// Bytes that the folder itself takes; 0 if there is none.
    pub(super) bytes: u64,
    pub(super) scanned: bool,
}

impl Leaves {
    pub(super) fn new() -> Self {
        Self {
            leaves: (0..LEAVES).map(|_| Mutex::default()).collect(),
            parents: Default::default(),
        }
    }

    pub(super) fn lock(&self, leaf: usize) -> MutexGuard<'_, Leaf> {
        self.leaves[leaf].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocking: gives a finished file its final name. Answers how many bytes the folders grew.
    pub(super) fn place(&self, layout: &Layout, leaf: &mut Leaf, from: &Path, to: &File) -> io::Result<i64> {
        let path = layout.entry(&to.0, to.1);
        let number = leaf_of(&to.0);
        let mut grown = 0;
        match std::fs::rename(from, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(layout.leaf(number))?;
                grown += self.measure_parent(layout, number)?;
                std::fs::rename(from, &path)?;
            }
            other => other?,
        }
        leaf.files += 1;
        Ok(grown + measure(layout, number, leaf))
    }

    /// Blocking: measures the folder above a leaf.
    pub(super) fn measure_parent(&self, layout: &Layout, leaf: usize) -> io::Result<i64> {
        let now = sys::block_bytes(&layout.parent(leaf).metadata()?);
        let before = self.parents[leaf >> 8].swap(now, Ordering::Relaxed);
        Ok(now as i64 - before as i64)
    }
}

/// Blocking: measures a leaf folder. Answers how many bytes it grew.
pub(super) fn measure(layout: &Layout, number: usize, leaf: &mut Leaf) -> i64 {
    let before = leaf.bytes;
    leaf.bytes = layout
        .leaf(number)
        .metadata()
        .map_or(0, |metadata| sys::block_bytes(&metadata));
    leaf.bytes as i64 - before as i64
}

/// Blocking: unlinks a file; it is no error if it is gone. Removes the folder with the last file.
/// Answers whether there was one, and how many bytes the folders grew: none, or less than none.
pub(super) fn discard(layout: &Layout, leaf: &mut Leaf, file: &File) -> io::Result<(bool, i64)> {
    let existed = unlink(layout, file)?;
    leaf.files = leaf.files.saturating_sub(1);
    // Before the scan the count is 0, and the folder itself knows whether it is empty.
    if leaf.files > 0 || std::fs::remove_dir(layout.leaf(leaf_of(&file.0))).is_err() {
        return Ok((existed, 0));
    }
    Ok((existed, -(std::mem::take(&mut leaf.bytes) as i64)))
}

/// Blocking: unlinks a file and nothing else. Answers whether there was one.
pub(super) fn unlink(layout: &Layout, file: &File) -> io::Result<bool> {
    match std::fs::remove_file(layout.entry(&file.0, file.1)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|()| true),
    }
}

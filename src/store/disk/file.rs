//! An open entry file, and the check of its bytes.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use super::Digest;
use super::core::Core;
use super::format::Flaw;
use crate::store::spool::Checksums;
use crate::store::{EntryFile, Residency};
use crate::sys;

/// The file of one version of an entry. See [`EntryFile`].
#[derive(Debug)]
pub(super) struct DiskFile {
    file: Arc<File>,
    identity: Identity,
    owner: Owner,
    /// What has to be checked still; `None` if every byte is known to be intact.
    unchecked: Option<Unchecked>,
    residency: Residency,
    damaged: AtomicBool,
}

/// Where to report damage.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) core: Weak<Core>,
    pub(super) digest: Digest,
    pub(super) generation: u64,
}

/// What tells that a file was changed or removed from outside: nothing here ever does either to a
/// file that the index still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    length: u64,
    modified: Option<SystemTime>,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

#[derive(Debug)]
struct Unchecked {
    sums: Checksums,
    /// One bit per block: checked.
    done: Box<[AtomicU64]>,
    left: AtomicU64,
}

impl DiskFile {
    /// A file whose body of `size` bytes is known to be intact.
    pub(super) fn intact(file: Arc<File>, metadata: &Metadata, owner: Owner, size: u64) -> Arc<Self> {
        Self::new(file, metadata, owner, size, None)
    }

    /// A file whose body is checked block by block when it is read.
    pub(super) fn unchecked(
        file: Arc<File>,
        metadata: &Metadata,
        owner: Owner,
        sums: Checksums,
    ) -> Arc<Self> {
        let words = sums.blocks().len().div_ceil(64);
        let size = sums.size();
        let unchecked = Unchecked {
            left: AtomicU64::new(sums.blocks().len() as u64),
            done: (0..words).map(|_| AtomicU64::new(0)).collect(),
            sums,
        };
        Self::new(file, metadata, owner, size, Some(unchecked))
    }

    fn new(
        file: Arc<File>,
        metadata: &Metadata,
        owner: Owner,
        size: u64,
        unchecked: Option<Unchecked>,
    ) -> Arc<Self> {
        Arc::new(Self {
            file,
            identity: Identity::of(metadata),
            owner,
            unchecked,
            residency: Residency::new(size),
            damaged: AtomicBool::new(false),
        })
    }

    /// Whether every byte is known to be intact.
    pub(super) fn is_checked(&self) -> bool {
        self.unchecked
            .as_ref()
            .is_none_or(|unchecked| unchecked.left.load(Ordering::Acquire) == 0)
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Whether the file has still the length and the time of change it had, and a name.
    pub(super) fn is_unchanged(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|now| sys::link_count(&now) > 0 && Identity::of(&now) == self.identity)
    }

    fn check(&self, unchecked: &Unchecked, range: Range<u64>) -> io::Result<()> {
        let mut buffer = Vec::new();
        for block in blocks(&range) {
            if unchecked.is_done(block) {
                continue;
            }
            check_block(&self.file, &unchecked.sums, block, &mut buffer)?;
            unchecked.set_done(block);
        }
        Ok(())
    }
}

/// The last close of a file that was unlinked meanwhile frees its room on the volume, which takes long
/// for a large one: not on a thread that serves others.
impl Drop for DiskFile {
    fn drop(&mut self) {
        const LARGE: u64 = 4 << 20;
        if self.identity.length >= LARGE && tokio::runtime::Handle::try_current().is_ok() {
            let file = Arc::clone(&self.file);
            drop(sys::run_blocking(move || drop(file)));
        }
    }
}

impl EntryFile for DiskFile {
    fn file(&self) -> &File {
        &self.file
    }

    fn verified(&self, range: Range<u64>) -> bool {
        let done = |unchecked: &Unchecked| blocks(&range).all(|block| unchecked.is_done(block));
        self.is_checked() || self.unchecked.as_ref().is_some_and(done)
    }

    fn residency(&self) -> Option<&Residency> {
        Some(&self.residency)
    }

    fn verify(&self, range: Range<u64>) -> io::Result<()> {
        let outcome = match &self.unchecked {
            Some(unchecked) if !self.verified(range.clone()) => self.check(unchecked, range),
            _ => sys::read_through(&self.file, range),
        };
        let flaw = match &outcome {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Flaw::Body,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Flaw::Torn,
            _ => return outcome,
        };
        if !self.damaged.swap(true, Ordering::Relaxed)
            && let Some(core) = self.owner.core.upgrade()
        {
            core.condemn(&self.owner.digest, self.owner.generation, flaw);
        }
        outcome
    }
}

impl Unchecked {
    fn is_done(&self, block: usize) -> bool {
        self.done[block / 64].load(Ordering::Acquire) >> (block % 64) & 1 == 1
    }

    fn set_done(&self, block: usize) {
        let bit = 1 << (block % 64);
        if self.done[block / 64].fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.left.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Blocking: reads the whole body and checks it.
pub(super) fn check_all(file: &File, sums: &Checksums) -> io::Result<()> {
    let mut buffer = Vec::new();
    (0..sums.blocks().len()).try_for_each(|block| check_block(file, sums, block, &mut buffer))
}

fn check_block(file: &File, sums: &Checksums, block: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    let start = block as u64 * Checksums::BLOCK;
    let length = Checksums::BLOCK.min(sums.size() - start);
    buffer.resize(length as usize, 0);
    sys::read_exact_at(file, buffer, start)?;
    if !sums.fits(block, buffer) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, Flaw::Body));
    }
    Ok(())
}

/// The numbers of the blocks that hold `range`.
fn blocks(range: &Range<u64>) -> Range<usize> {
    if range.is_empty() {
        return 0..0;
    }
    let first = range.start / Checksums::BLOCK;
    let end = range.end.div_ceil(Checksums::BLOCK);
    first as usize..end as usize
}

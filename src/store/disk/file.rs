//! An open entry file, and the check of its bytes.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use super::format::EntryError;
use crate::store::spool::Checksums;
use crate::store::{Digest, EntryFile, Residency};
use crate::sys;

/// The file of one version of an entry. See [`EntryFile`].
#[derive(Debug)]
pub(super) struct DiskFile {
    /// `None` only while it is dropped.
    file: Option<Arc<File>>,
    identity: FileIdentity,
    owner: EntryOwner,
    /// What has to be checked still; `None` if every byte is known to be intact.
    unchecked: Option<Unchecked>,
    residency: Residency,
    damaged: AtomicBool,
}

/// Who removes a version of an entry that turned out to be damaged.
pub(super) trait Condemn: std::fmt::Debug + Send + Sync {
    /// Blocking: removes it, if it is still there, and says so.
    fn condemn(&self, digest: &Digest, generation: u64, flaw: EntryError);
}

/// Which version of an entry a file is, and where to report damage.
#[derive(Debug, Clone)]
pub(super) struct EntryOwner {
    pub(super) tier: Weak<dyn Condemn>,
    pub(super) digest: Digest,
    pub(super) generation: u64,
}

/// What tells that a file was changed or removed from outside: nothing here ever does either to a
/// file that the index still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileIdentity {
    length: u64,
    modified: Option<SystemTime>,
}

impl FileIdentity {
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
    /// A file with a body of `size` bytes. It is checked against `sums` block by block when it is read; without
    /// them it is known to be intact.
    pub(super) fn new(
        file: Arc<File>,
        metadata: &Metadata,
        owner: EntryOwner,
        size: u64,
        sums: Option<Checksums>,
    ) -> Arc<Self> {
        Arc::new(Self {
            file: Some(file),
            identity: FileIdentity::of(metadata),
            owner,
            unchecked: sums.map(Unchecked::new),
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
        self.open()
            .metadata()
            .is_ok_and(|now| sys::link_count(&now) > 0 && FileIdentity::of(&now) == self.identity)
    }

    fn open(&self) -> &File {
        match &self.file {
            Some(file) => file,
            None => unreachable!("only `drop` takes it"),
        }
    }

    /// Reads all of `range`, and checks what was not checked yet.
    fn check(&self, unchecked: &Unchecked, range: &Range<u64>) -> io::Result<()> {
        let mut buffer = Vec::new();
        for block in blocks(range) {
            if unchecked.is_done(block) {
                // Known to be intact, and perhaps no longer in the page cache.
                let start = block as u64 * Checksums::BLOCK_BYTES;
                let part = range.start.max(start)..range.end.min(start + Checksums::BLOCK_BYTES);
                sys::read_through(self.open(), part)?;
                continue;
            }
            check_block(self.open(), &unchecked.sums, block, &mut buffer)?;
            unchecked.set_done(block);
        }
        Ok(())
    }
}

/// What an error of a read says about the file; `None` if it may be another time.
fn flaw_of(error: &io::Error) -> Option<EntryError> {
    match error.kind() {
        io::ErrorKind::InvalidData => Some(EntryError::Body),
        io::ErrorKind::UnexpectedEof => Some(EntryError::Torn),
        // Otherwise every read would be cut until the entry is evicted; so it is a miss from now on.
        _ if sys::is_unreadable(error) => Some(EntryError::Unreadable),
        _ => None,
    }
}

/// The last close of a file that was unlinked meanwhile frees its room on the volume, which takes long
/// for a large one: not on a thread that serves others.
impl Drop for DiskFile {
    fn drop(&mut self) {
        const MIN_SLOW_CLOSE_BYTES: u64 = 4 << 20;
        if self.identity.length >= MIN_SLOW_CLOSE_BYTES && tokio::runtime::Handle::try_current().is_ok() {
            let file = self.file.take();
            drop(sys::run_blocking(move || drop(file)));
        }
    }
}

impl EntryFile for DiskFile {
    fn file(&self) -> &File {
        self.open()
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
            Some(unchecked) if !self.verified(range.clone()) => self.check(unchecked, &range),
            _ => sys::read_through(self.open(), range),
        };
        let Some(flaw) = outcome.as_ref().err().and_then(flaw_of) else {
            return outcome;
        };
        if !self.damaged.swap(true, Ordering::Relaxed)
            && let Some(tier) = self.owner.tier.upgrade()
        {
            tier.condemn(&self.owner.digest, self.owner.generation, flaw);
        }
        outcome
    }
}

impl Unchecked {
    fn new(sums: Checksums) -> Self {
        let words = sums.blocks().len().div_ceil(64);
        Self {
            left: AtomicU64::new(sums.blocks().len() as u64),
            done: (0..words).map(|_| AtomicU64::new(0)).collect(),
            sums,
        }
    }

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
    let start = block as u64 * Checksums::BLOCK_BYTES;
    let length = Checksums::BLOCK_BYTES.min(sums.size() - start);
    buffer.resize(length as usize, 0);
    sys::read_exact_at(file, buffer, start)?;
    if !sums.fits(block, buffer) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, EntryError::Body));
    }
    Ok(())
}

/// The numbers of the blocks that hold `range`.
fn blocks(range: &Range<u64>) -> Range<usize> {
    if range.is_empty() {
        return 0..0;
    }
    let first = range.start / Checksums::BLOCK_BYTES;
    let end = range.end.div_ceil(Checksums::BLOCK_BYTES);
    first as usize..end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_BYTES: u64 = Checksums::BLOCK_BYTES;

    /// A file of `blocks` blocks, of which nothing is checked.
    fn unchecked(blocks: u64) -> Arc<DiskFile> {
        let body = vec![7; (blocks * BLOCK_BYTES) as usize];
        let file = tempfile::tempfile().expect("temporary file");
        sys::write_all_vectored_at(&file, &[&body], 0).expect("write");
        let owner = EntryOwner {
            tier: Weak::<super::super::core::DiskCore>::new(),
            digest: Digest::default(),
            generation: 1,
        };
        let metadata = file.metadata().expect("metadata");
        let (size, sums) = (body.len() as u64, Checksums::of(&body));
        DiskFile::new(Arc::new(file), &metadata, owner, size, Some(sums))
    }

    #[test]
    fn a_block_that_was_checked_long_ago_is_read_again_with_its_neighbour() {
        let file = unchecked(2);
        file.verify(BLOCK_BYTES..2 * BLOCK_BYTES).expect("intact");
        assert!(
            file.verified(BLOCK_BYTES..2 * BLOCK_BYTES) && !file.verified(BLOCK_BYTES - 1..BLOCK_BYTES + 1)
        );
        // Only who reads it notices: it is cut behind the back of the tier, and its neighbour is whole.
        file.open().set_len(BLOCK_BYTES + 3).expect("cut");
        let torn = file
            .verify(BLOCK_BYTES - 5..BLOCK_BYTES + 5)
            .expect_err("it was read");
        assert_eq!(torn.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_bad_sector_is_a_flaw_of_the_file_and_a_lack_of_memory_is_none() {
        let flaw = |errno: rustix::io::Errno| flaw_of(&errno.into());
        assert_eq!(flaw(rustix::io::Errno::IO), Some(EntryError::Unreadable));
        assert_eq!(flaw(rustix::io::Errno::NOMEM), None);
        assert_eq!(flaw(rustix::io::Errno::INTR), None);
    }
}

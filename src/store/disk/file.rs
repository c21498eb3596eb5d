//! An open entry file, and the check of its bytes.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use super::check_turn::CheckTurns;
use super::format::EntryError;
use crate::store::budget::OpenFile;
use crate::store::content::FileHolder;
use crate::store::spool::Checksums;
use crate::store::{Digest, EntryFile, Residency};
use crate::sys;

/// The file of one version of an entry. See [`EntryFile`].
#[derive(Debug)]
pub(super) struct DiskFile {
    /// `None` only while it is dropped.
    file: Option<Arc<OpenFile>>,
    identity: FileIdentity,
    owner: EntryOwner,
    blocks: CheckedBlocks,
    /// When the blocks were new or all to be checked, in seconds since 1970.
    since: AtomicU64,
    /// When some of the file was found out of the page cache last, in seconds since 1970.
    cold_at: AtomicU64,
    residency: Residency,
    damaged: AtomicBool,
    turns: CheckTurns,
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

/// Which blocks are known to be intact.
///
/// Whoever reads one that is not reads and checks all of it first. Blocks that were known to be intact have to be
/// checked anew when some of the file is no longer in the page cache: what comes from the disk again may be damaged.
/// It concerns all of them, since the kernel reads ahead.
#[derive(Debug)]
struct CheckedBlocks {
    sums: Checksums,
    /// One bit per block: checked.
    done: Box<[AtomicU64]>,
    left: AtomicU64,
}

impl DiskFile {
    /// A file with a body that has these checksums. `checked`: its bytes are known to be intact at this moment;
    /// otherwise it is checked block by block when it is read.
    pub(super) fn new(
        file: Arc<OpenFile>,
        metadata: &Metadata,
        owner: EntryOwner,
        sums: Checksums,
        checked: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            file: Some(file),
            identity: FileIdentity::of(metadata),
            owner,
            residency: Residency::new(sums.size()),
            blocks: CheckedBlocks::new(sums, checked),
            since: AtomicU64::new(seconds()),
            cold_at: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
            turns: CheckTurns::default(),
        })
    }

    /// Whether every byte is known to be intact.
    pub(super) fn is_checked(&self) -> bool {
        self.blocks.left.load(Ordering::Acquire) == 0
    }

    /// Its blocks have to be checked anew if they were for the last time a day ago.
    pub(super) fn age(&self) {
        let now = seconds();
        if now.saturating_sub(self.since.load(Ordering::Relaxed)) >= MAX_CHECK_AGE_SECONDS {
            self.since.store(now, Ordering::Relaxed);
            self.blocks.reset();
        }
    }

    /// Whether some of `range` is known to be out of the page cache. "No" where the system cannot tell.
    fn is_cold(&self, range: &Range<u64>) -> bool {
        let resident = |at| sys::is_resident(self.open(), at);
        !self.residency.holds(range, resident) && sys::tells_residency(self.open())
    }

    /// Whether the first `length` bytes have to be checked before somebody gets them.
    pub(super) fn must_be_checked(&self, length: u64) -> bool {
        !self.verified(0..length) || self.is_cold(&(0..length))
    }

    /// What is checked before the first byte of an answer: all of a body, or the beginning of a long one.
    pub(super) fn checked_first(&self) -> u64 {
        match self.blocks.sums.size() {
            size if size <= MAX_CHECK_FIRST_BYTES => size,
            _ => Checksums::BLOCK_BYTES,
        }
    }

    /// Whose turn it is to check what answers wait for.
    pub(super) fn turns(&self) -> &CheckTurns {
        &self.turns
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

    fn open(&self) -> &OpenFile {
        match &self.file {
            Some(file) => file,
            None => unreachable!("only `drop` takes it"),
        }
    }

    /// Who reads what is verified has found it out of the page cache. Looking again would not tell: the first look makes
    /// the kernel read ahead. Blocks that were checked within this second are not checked again for each reader.
    fn distrust(&self) {
        let (now, before) = (seconds(), self.cold_at.load(Ordering::Relaxed));
        let is_first = self
            .cold_at
            .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if now != before && is_first && sys::tells_residency(self.open()) {
            self.blocks.reset();
        }
    }

    /// Reads all of `range`, and checks what was not checked yet.
    fn check(&self, range: &Range<u64>) -> io::Result<()> {
        let mut buffer = Vec::new();
        for block in blocks(range) {
            if self.blocks.is_done(block) {
                // Known to be intact, and perhaps no longer in the page cache.
                let start = block as u64 * Checksums::BLOCK_BYTES;
                let part = range.start.max(start)..range.end.min(start + Checksums::BLOCK_BYTES);
                sys::read_through(self.open(), part)?;
                continue;
            }
            check_block(self.open(), &self.blocks.sums, block, &mut buffer)?;
            self.blocks.set_done(block);
        }
        Ok(())
    }
}

/// Bodies up to this length are checked as a whole before the first byte, longer ones block by block as they are read.
const MAX_CHECK_FIRST_BYTES: u64 = 64 << 20;
/// After so many seconds a block is checked again even if it never left the page cache.
const MAX_CHECK_AGE_SECONDS: u64 = 24 * 3600;

fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
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
        self.is_checked() || blocks(&range).all(|block| self.blocks.is_done(block))
    }

    fn holder(&self) -> Option<&dyn FileHolder> {
        Some(&**self.open().hold())
    }

    fn residency(&self) -> Option<&Residency> {
        Some(&self.residency)
    }

    fn verify(&self, range: Range<u64>) -> io::Result<()> {
        if self.verified(range.clone()) {
            self.distrust();
        }
        let outcome = self.check(&range);
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

impl CheckedBlocks {
    fn new(sums: Checksums, checked: bool) -> Self {
        let count = sums.blocks().len();
        let (left, word) = if checked { (0, u64::MAX) } else { (count as u64, 0) };
        Self {
            left: AtomicU64::new(left),
            done: (0..count.div_ceil(64)).map(|_| AtomicU64::new(word)).collect(),
            sums,
        }
    }

    /// All have to be checked anew.
    fn reset(&self) {
        for word in 0..self.done.len() {
            let count = (self.sums.blocks().len() - word * 64).min(64) as u32;
            let all = u64::MAX >> (64 - count);
            let was = self.done[word].swap(0, Ordering::AcqRel) & all;
            self.left.fetch_add(was.count_ones().into(), Ordering::AcqRel);
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
    use crate::store::budget::{Budget, FileHold};

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
        let budget = Budget::new(1 << 30, 0, std::time::Duration::ZERO);
        let file = FileHold::new(&budget).open(|| Ok(file));
        let file = file.expect("a handle");
        DiskFile::new(Arc::new(file), &metadata, owner, Checksums::of(&body), false)
    }

    #[test]
    fn blocks_that_were_checked_a_day_ago_are_checked_again() {
        let file = unchecked(70);
        file.verify(0..70 * BLOCK_BYTES).expect("intact");
        file.age();
        assert!(file.is_checked());
        (file.since).fetch_sub(MAX_CHECK_AGE_SECONDS, Ordering::Relaxed);
        file.age();
        assert!(!file.is_checked() && !file.verified(69 * BLOCK_BYTES..70 * BLOCK_BYTES));
        file.verify(0..70 * BLOCK_BYTES).expect("intact");
        assert!(file.is_checked());
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

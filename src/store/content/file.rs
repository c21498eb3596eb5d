//! Bytes in an open file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{FileHolder, Residency};
use crate::store::turns::Asker;
use crate::sys;

/// An open file of a tier. Its bytes never change; it may be unlinked while readers hold it.
pub trait EntryFile: std::fmt::Debug + Send + Sync + 'static {
    /// The open file.
    fn file(&self) -> &File;

    /// Whether every byte of `range` is known to be intact, so that only page-cache residency
    /// decides whether it can be sent at once.
    fn verified(&self, range: Range<u64>) -> bool;

    /// Blocking: reads and checks the blocks that hold `range`. After `Ok` the range is verified
    /// and was in the page cache.
    ///
    /// # Errors
    /// `InvalidData` if the bytes are damaged (the tier then drops the entry), `UnexpectedEof` if
    /// the file is shorter than its entry, and whatever the operating system says.
    fn verify(&self, range: Range<u64>) -> io::Result<()>;

    /// What was found in the page cache a moment ago, if the file remembers it.
    fn residency(&self) -> Option<&Residency> {
        None
    }

    /// Who must hear of its readers; `None` if it keeps no room from others.
    fn holder(&self) -> Option<&dyn FileHolder> {
        None
    }

    /// Whether bytes may be missing still.
    fn is_growing(&self) -> bool {
        false
    }

    /// How many bytes from `offset` on are there; only a file that still grows has fewer than its length.
    /// `whole` says that the reader wants the entire body: its last byte is there when all are checked.
    fn arrived(&self, _offset: u64, _whole: bool) -> u64 {
        u64::MAX
    }

    /// Resolves when the byte at `offset` is there, for the same kind of reader.
    ///
    /// # Errors
    /// When it will never be.
    fn arrival(&self, _offset: u64, _whole: bool) -> BoxFuture<'static, io::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A part of an open immutable file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FileRange {
    file: Arc<dyn EntryFile>,
    start: u64,
    end: u64,
    /// Began as the entire body.
    whole: bool,
    /// In whose name a cold disk is read.
    asker: Asker,
}

impl FileRange {
    /// The entire body of an entry: `length` bytes from the beginning of the file on.
    pub fn whole(file: Arc<dyn EntryFile>, length: u64) -> Self {
        Self {
            file,
            start: 0,
            end: length,
            whole: true,
            asker: Asker::SERVER,
        }
    }

    /// From now on it is read in the name of `asker`.
    pub(crate) fn ask_as(&mut self, asker: Asker) {
        self.asker = asker;
    }

    /// In whose name it is read: those who wait for a cold disk take turns.
    pub(crate) fn asker(&self) -> Asker {
        self.asker
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Offset of the first byte in [`FileRange::file`].
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The open file; read only the bytes of this range.
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// A part of this range, counted from its beginning; positions beyond the end are cut.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let end = self.start.saturating_add(range.end).min(self.end);
        let start = self.start.saturating_add(range.start).min(end);
        Self {
            file: Arc::clone(&self.file),
            start,
            end,
            whole: self.whole && (start, end) == (self.start, self.end),
            asker: self.asker,
        }
    }

    /// Takes `length` bytes off the front.
    pub fn advance(&mut self, length: u64) {
        self.start = self.start.saturating_add(length).min(self.end);
    }

    /// Whether somebody waits for the room of this file, which has no name any more: a reader that takes less than
    /// [`super::MIN_READ_BYTES`] in [`super::MIN_READ_TIME_SECONDS`] has to end.
    pub fn is_wanted(&self) -> bool {
        self.holder().is_some_and(FileHolder::is_wanted)
    }

    pub(super) fn holder(&self) -> Option<&dyn FileHolder> {
        self.file.holder()
    }

    /// Whether bytes of the file may be missing still.
    pub fn is_growing(&self) -> bool {
        self.file.is_growing()
    }

    /// How many bytes at the front are there; fewer than [`FileRange::len`] only while the file grows.
    pub fn available(&self) -> u64 {
        self.len().min(self.file.arrived(self.start, self.whole))
    }

    /// Resolves when the first byte is there.
    ///
    /// # Errors
    /// As [`EntryFile::arrival`].
    pub fn arrival(&self) -> BoxFuture<'static, io::Result<()>> {
        self.file.arrival(self.start, self.whole)
    }

    /// Whether the first `length` bytes are intact and can be read without waiting for a disk.
    ///
    /// Looks at a few pages only, and at none of a file whose pages were found a moment ago: the price
    /// of a wrong "yes" is one wait ([`FileRange::waited`]).
    pub fn is_hot(&self, length: u64) -> bool {
        let end = self.start.saturating_add(length).min(self.end);
        if end == self.start {
            return true;
        }
        let resident = |at| sys::is_resident(self.file(), at);
        let range = self.start..end;
        self.file.verified(range.clone())
            && match self.file.residency() {
                Some(residency) => residency.holds(&range, resident),
                None => Residency::probe(&range, &resident),
            }
    }

    /// Sending the first `length` bytes took so long that they must have come from the disk, although
    /// [`FileRange::is_hot`] said otherwise.
    pub fn waited(&self, length: u64) {
        if let Some(residency) = self.file.residency() {
            residency.forget(&(self.start..self.start.saturating_add(length)));
        }
    }

    /// Blocking: brings the first `length` bytes into the page cache and checks them.
    ///
    /// # Errors
    /// As [`EntryFile::verify`].
    pub fn warm(&self, length: u64) -> io::Result<()> {
        let end = self.start.saturating_add(length).min(self.end);
        self.file.verify(self.start..end)
    }

    /// Reads into `buffer` without waiting for a disk; `None` if that is not possible.
    pub fn read_now(&self, buffer: &mut [u8]) -> Option<usize> {
        let length = (buffer.len() as u64).min(self.len());
        if !self.file.verified(self.start..self.start + length) {
            return None;
        }
        // Cut by `len()`, so it fits.
        sys::read_at_nowait(self.file(), &mut buffer[..length as usize], self.start).ok()
    }

    /// Blocking: reads exactly `buffer.len()` bytes from the front, checked.
    ///
    /// # Errors
    /// As [`EntryFile::verify`].
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<()> {
        let end = self.start.saturating_add(buffer.len() as u64);
        if end > self.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !self.is_hot(buffer.len() as u64) {
            self.file.verify(self.start..end)?;
        }
        sys::read_exact_at(self.file(), buffer, self.start)
    }
}

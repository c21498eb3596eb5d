//! The bytes of an entry: in memory, or a range of an open immutable file.
//!
//! A [`FileRange`] says "this range of this open file" and nothing about how it is sent. A transport
//! that can send a file without copying does so; every other one reads [`Content::pieces`].

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use crate::sys;

/// The bytes of one entry, or a part of them.
#[derive(Debug, Clone)]
pub enum Content {
    /// A small body.
    Memory(Bytes),
    /// A part of a file.
    File(FileRange),
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(part) => part.len(),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of these bytes; positions beyond the end are cut.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        match self {
            // A body in memory is far smaller than the address space.
            Self::Memory(bytes) => Self::Memory(bytes.slice(start as usize..end as usize)),
            Self::File(part) => Self::File(part.slice(start..end)),
        }
    }

    /// The bytes in order, a bounded piece at a time, read off the async threads when the disk is cold.
    pub fn pieces(self) -> Pieces {
        Pieces::new(self)
    }
}

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
}

/// A part of an open immutable file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FileRange {
    file: Arc<dyn EntryFile>,
    start: u64,
    end: u64,
}

impl FileRange {
    /// `range` counts from the beginning of the file and must lie in the body of the entry.
    pub fn new(file: Arc<dyn EntryFile>, range: Range<u64>) -> Self {
        Self {
            file,
            start: range.start,
            end: range.end.max(range.start),
        }
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
        }
    }

    /// Takes `length` bytes off the front.
    pub fn advance(&mut self, length: u64) {
        self.start = self.start.saturating_add(length).min(self.end);
    }

    /// Whether the first `length` bytes are intact and can be read without waiting for a disk.
    ///
    /// Looks at a few pages only: the kernel reads ahead and evicts in steps of 128 KiB and more, and
    /// the price of a wrong "yes" is one wait.
    pub fn is_hot(&self, length: u64) -> bool {
        const STEP: u64 = 128 * 1024;
        let end = self.start.saturating_add(length).min(self.end);
        if end == self.start {
            return true;
        }
        let resident = |at| sys::is_resident(self.file(), at);
        let length = end - self.start;
        self.file.verified(self.start..end)
            && resident(end - 1)
            && (length <= STEP || resident(self.start) && resident(self.start + length / 2))
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
        if !self.file.verified(self.start..end) {
            self.file.verify(self.start..end)?;
        }
        sys::read_exact_at(self.file(), buffer, self.start)
    }
}

/// See [`Content::pieces`]. Ends with an error when the file is damaged or shorter than its entry.
pub struct Pieces {
    rest: Content,
    reading: Option<tokio::task::JoinHandle<io::Result<Bytes>>>,
}

impl Pieces {
    /// Length of a piece: large enough that a hop to the blocking pool is cheap beside the copy.
    const LENGTH: u64 = 256 * 1024;

    fn new(rest: Content) -> Self {
        Self { rest, reading: None }
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        use std::task::{Poll, ready};
        let this = &mut *self;
        if let Some(reading) = &mut this.reading {
            let piece = ready!(std::pin::Pin::new(reading).poll(cx))
                .unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
            this.reading = None;
            return Poll::Ready(Some(piece));
        }
        let part = match &mut this.rest {
            Content::Memory(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Content::Memory(bytes) => return Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Content::File(part) if part.is_empty() => return Poll::Ready(None),
            Content::File(part) => part,
        };
        let length = part.len().min(Self::LENGTH);
        let piece = part.slice(0..length);
        part.advance(length);
        let mut buffer = vec![0; length as usize];
        if piece.is_hot(length) && piece.read_now(&mut buffer) == Some(buffer.len()) {
            return Poll::Ready(Some(Ok(buffer.into())));
        }
        this.reading = Some(sys::run_blocking(move || {
            piece.read(&mut buffer)?;
            Ok(buffer.into())
        }));
        self.poll_next(cx)
    }
}

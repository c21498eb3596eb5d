//! The bytes of an entry: in memory, a range of an open file, or a range of an object that is far away.
//!
//! A file is immutable, but it may still be growing: bytes that have arrived never change, and who wants
//! the others waits for them.
//!
//! A [`FileRange`] says "this range of this open file" and nothing about how it is sent. A transport
//! that can send a file without copying does so; every other one reads [`Content::pieces`].

use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::sys;

/// The bytes of one entry, or a part of them.
#[derive(Debug, Clone)]
pub enum Content {
    /// A small body.
    Memory(Bytes),
    /// A part of a file.
    File(FileRange),
    /// A part of an object that is read as it is sent.
    Remote(RemoteRange),
    /// No bytes, only how many there are: for answers without a body.
    Described(u64),
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(part) => part.len(),
            Self::Remote(part) => part.len(),
            Self::Described(length) => *length,
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
            Self::Remote(part) => Self::Remote(part.slice(start..end)),
            Self::Described(_) => Self::Described(end - start),
        }
    }

    /// Where the bytes come from, for the log; empty if there are none.
    pub fn tier(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::File(part) if part.file.is_growing() => "s3",
            Self::File(_) => "disk",
            Self::Remote(_) => "s3",
            Self::Described(_) => "",
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

/// Where the bytes of a [`RemoteRange`] come from.
pub trait RemoteSource: std::fmt::Debug + Send + Sync + 'static {
    /// The bytes of `range`, in order; an error in the place of what cannot be had.
    fn open(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>>;
}

/// A part of a far object. Cheap to clone; nothing is asked for before it is read.
#[derive(Debug, Clone)]
pub struct RemoteRange {
    source: Arc<dyn RemoteSource>,
    start: u64,
    end: u64,
}

impl RemoteRange {
    /// `range` counts from the beginning of the body.
    pub fn new(source: Arc<dyn RemoteSource>, range: Range<u64>) -> Self {
        Self {
            source,
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

    fn slice(&self, range: Range<u64>) -> Self {
        Self {
            source: Arc::clone(&self.source),
            start: self.start + range.start,
            end: self.start + range.end,
        }
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
}

impl FileRange {
    /// The entire body of an entry: `length` bytes from the beginning of the file on.
    pub fn whole(file: Arc<dyn EntryFile>, length: u64) -> Self {
        Self {
            file,
            start: 0,
            end: length,
            whole: true,
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
            whole: self.whole && (start, end) == (self.start, self.end),
        }
    }

    /// Takes `length` bytes off the front.
    pub fn advance(&mut self, length: u64) {
        self.start = self.start.saturating_add(length).min(self.end);
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

/// See [`Content::pieces`]. Ends with an error when the bytes are damaged, or fewer than they should be.
pub struct Pieces {
    rest: Content,
    reading: Option<tokio::task::JoinHandle<io::Result<Bytes>>>,
    arriving: Option<BoxFuture<'static, io::Result<()>>>,
    stream: Option<BoxStream<'static, io::Result<Bytes>>>,
}

impl Pieces {
    /// Length of a piece: large enough that a hop to the blocking pool is cheap beside the copy.
    const LENGTH: u64 = 256 * 1024;

    fn new(rest: Content) -> Self {
        Self {
            rest,
            reading: None,
            arriving: None,
            stream: None,
        }
    }

    /// The next piece of a file.
    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(arriving) = &mut self.arriving {
                let arrived = ready!(arriving.as_mut().poll(cx));
                self.arriving = None;
                if let Err(error) = arrived {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            if let Some(reading) = &mut self.reading {
                let piece = ready!(Pin::new(reading).poll(cx))
                    .unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
                self.reading = None;
                return Poll::Ready(Some(piece));
            }
            let Content::File(part) = &mut self.rest else {
                return Poll::Ready(None);
            };
            if part.is_empty() {
                return Poll::Ready(None);
            }
            let length = part.available().min(Self::LENGTH);
            if length == 0 {
                self.arriving = Some(part.arrival());
                continue;
            }
            let piece = part.slice(0..length);
            part.advance(length);
            let mut buffer = vec![0; length as usize];
            if piece.is_hot(length) && piece.read_now(&mut buffer) == Some(buffer.len()) {
                return Poll::Ready(Some(Ok(buffer.into())));
            }
            self.reading = Some(sys::run_blocking(move || {
                piece.read(&mut buffer)?;
                Ok(buffer.into())
            }));
        }
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match &mut this.rest {
            Content::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Content::File(_) => this.poll_file(cx),
            Content::Described(_) => Poll::Ready(Some(Err(io::ErrorKind::Unsupported.into()))),
            Content::Remote(part) => {
                let open = || part.source.open(part.start..part.end);
                this.stream.get_or_insert_with(open).as_mut().poll_next(cx)
            }
        }
    }
}

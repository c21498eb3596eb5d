//! Takes the bytes of a body as they arrive.
//!
//! A body of at most [`MAX_MEMORY_SPOOL_BYTES`] stays in memory. A larger one goes in batches to a temporary file.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::dir::room_for;
use super::{ChecksumBuilder, Checksums, MAX_MEMORY_SPOOL_BYTES, Spool, SpoolBody, SpoolDir, Temp};
use crate::store::batch::{BatchSink, BatchWriter, total_length};
use crate::store::budget::{Ask, OpenFile, Reservation, RoomWatch, write_error};
use crate::store::memory::nobody;
use crate::store::{Error, Result};
use crate::sys;

/// Reserved at once for a body of unknown length, and again whenever it is used up.
const UNKNOWN_STEP_BYTES: u64 = 1 << 20;
/// The same for a body of known length, if it is longer. Not all of it at once: entries of others would have to go
/// for bytes that may never come.
const ANNOUNCED_STEP_BYTES: u64 = 8 << 20;

impl SpoolDir {
    /// Begins a body. `expected` is its length in bytes if that is known. Room is reserved before the bytes come
    /// that need it, a few MiB at a time. Waits for eviction if there is none now.
    ///
    /// # Errors
    /// [`Error::TooLarge`] at once if `expected` can never fit, [`Error::NoSpace`] at once if that is more than what is
    /// free and what its tenant may push out, or if the tenant is above its share, nobody can give room and none of its other
    /// bodies is on its way, and later if all room is reserved by others and stays so. [`Error::Stopping`].
    pub async fn create(&self, expected: Option<u64>) -> Result<SpoolWriter> {
        if let Some(size) = expected {
            self.check_size(size)?;
            self.check_share(size)?;
        }
        let first = match expected {
            Some(size) => size.min(self.announced_step()),
            None => self.unknown_step(),
        };
        let room = self.reserve(room_for(first), Ask::New).await?;
        Ok(SpoolWriter::new(self.clone(), room, expected))
    }

    /// Begins a body of `size` bytes. Waits for eviction as [`SpoolDir::create`] does; dropping the future
    /// gives up the place in the queue.
    pub(crate) async fn grow(&self, size: u64) -> Result<Growth> {
        self.check_size(size)?;
        let room = Arc::new(self.reserve(room_for(size), Ask::New).await?);
        let (dir, held) = (self.clone(), Arc::clone(&room));
        let hop = self.tasks().spawn_blocking(move || {
            let temp = Temp::create(&dir, &held)?;
            temp.lengthen(size)?;
            Ok(temp)
        });
        let made = hop.await.map_err(|_| Error::Stopping)?;
        let temp = Arc::new(made.map_err(|error: io::Error| Error::io("making a temporary file", error))?);
        Ok(Growth { temp, room })
    }

    /// Never much of its tenant's share: who needs little must not have to push out its own entries for the rest of a step.
    fn unknown_step(&self) -> u64 {
        let most = UNKNOWN_STEP_BYTES.min(self.budget().largest() / 16);
        self.share().map_or(most, |share| most.min(share / 16))
    }

    fn announced_step(&self) -> u64 {
        ANNOUNCED_STEP_BYTES.min(self.budget().largest() / 8)
    }
}

/// A body that is being written. Dropped before [`SpoolWriter::finish`], it is removed and its room
/// given back; so it must be after a dropped or failed [`SpoolWriter::write`].
#[derive(Debug)]
pub struct SpoolWriter {
    dir: SpoolDir,
    room: Arc<Reservation>,
    watch: RoomWatch,
    /// The room for all of it, in bytes, if its length was announced.
    announced: Option<u64>,
    written: u64,
    batches: BatchWriter<SpoolSink>,
}

impl SpoolWriter {
    /// `expected` is the length of the body in bytes, if that is known. The body may become longer or shorter.
    fn new(dir: SpoolDir, room: Reservation, expected: Option<u64>) -> Self {
        let (watch, room) = (room.may_be_revoked(), Arc::new(room));
        let sink = SpoolSink {
            dir: dir.clone(),
            room: Arc::clone(&room),
            temp: None,
            summer: ChecksumBuilder::default(),
            offset: 0,
            length: expected.unwrap_or(0),
        };
        Self {
            batches: BatchWriter::new(
                (dir.budget(), dir.tasks(), dir.asker()),
                dir.memory().share(&nobody()),
                0,
                sink,
            ),
            dir,
            room,
            watch,
            announced: expected.map(room_for),
            written: 0,
        }
    }

    /// What waits in memory counts as this owner's. Comes before the first bytes.
    #[must_use]
    pub fn charged_to(mut self, owner: &Arc<str>) -> Self {
        self.charge(owner);
        self
    }

    /// See [`SpoolWriter::charged_to`].
    pub(crate) fn charge(&mut self, owner: &Arc<str>) {
        self.batches.charge(owner);
    }

    /// Adds the next bytes. May wait for the disk and for eviction.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NoSpace`] or [`Error::Io`]; the body is lost then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let written = self.written + chunk.len() as u64;
        self.dir.check_size(written)?;
        self.watch.check()?;
        self.reserve(room_for(written)).await?;
        self.written = written;
        self.batches.write(chunk).await
    }

    /// Resolves when the room is taken back for others: the body is lost then.
    pub(crate) async fn revoked(&self) -> Error {
        self.watch.revoked().await
    }

    async fn reserve(&self, needed: u64) -> Result<()> {
        if needed <= self.room.bytes() {
            return Ok(());
        }
        match self.announced {
            Some(most) => self.room.ensure_of(needed, self.dir.announced_step(), most).await,
            None => self.room.ensure(needed, self.dir.unknown_step()).await,
        }
    }

    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Ends the body. Room that was reserved beyond its need is given back.
    ///
    /// # Errors
    /// As [`SpoolWriter::write`].
    pub async fn finish(mut self) -> Result<Spool> {
        self.room.keep();
        self.batches.settle().await?;
        let in_memory = self.written <= MAX_MEMORY_SPOOL_BYTES as u64
            && self.batches.sink().is_some_and(|sink| sink.temp.is_none());
        let (mut sink, frames) = match in_memory {
            true => self.batches.into_parts()?,
            false => (self.batches.finish().await?, Vec::new()),
        };
        let body = match sink.temp.take() {
            Some(temp) => SpoolBody::File(temp),
            None => {
                sink.sum(&frames);
                SpoolBody::Memory(frames)
            }
        };
        self.room.shrink(room_for(self.written));
        Ok(Spool::new(body, sink.summer.finish(), self.room))
    }
}

/// A temporary file, made with the first batch.
#[derive(Debug)]
struct SpoolSink {
    dir: SpoolDir,
    room: Arc<Reservation>,
    temp: Option<Arc<Temp>>,
    summer: ChecksumBuilder,
    offset: u64,
    /// How long the body will be, as far as that is known.
    length: u64,
}

impl BatchSink for SpoolSink {
    type Error = Error;

    fn sum(&mut self, frames: &[Bytes]) {
        self.summer.update_all(frames);
    }

    fn write(&mut self, frames: &mut Vec<Bytes>, _last: bool) -> Result<()> {
        let length = total_length(frames);
        let mut write = || {
            let temp = match &self.temp {
                Some(temp) => temp,
                None => self.temp.insert(Arc::new(Temp::create(&self.dir, &self.room)?)),
            };
            let end = self.offset + length;
            // Beyond what was announced in steps.
            let steps = end.next_multiple_of(UNKNOWN_STEP_BYTES);
            temp.lengthen(if end > self.length { steps } else { self.length })?;
            sys::write_all_vectored_at(temp.file(), &*frames, self.offset)
        };
        write().map_err(|error| write_error("writing a temporary file", error, length))?;
        self.offset += length;
        frames.clear();
        Ok(())
    }

    fn store_error(error: &Error) -> Option<&Error> {
        Some(error)
    }

    fn lost() -> Error {
        Error::io("writing a temporary file", io::ErrorKind::BrokenPipe.into())
    }
}

/// A body of known length that arrives in any order: a temporary file with room for all of it. Dropped before [`Growth::finish`], it is
/// removed when its last reader has closed it.
#[derive(Debug)]
pub(crate) struct Growth {
    temp: Arc<Temp>,
    room: Arc<Reservation>,
}

impl Growth {
    /// The file; bytes once written never change.
    pub(crate) fn file(&self) -> &Arc<OpenFile> {
        self.temp.file()
    }

    /// Blocking: writes the next bytes of a part.
    pub(crate) fn write(&self, frames: &[Bytes], offset: u64) -> io::Result<()> {
        sys::write_all_vectored_at(self.temp.file(), frames, offset)
    }

    /// The whole body. `sums` are those of the bytes that were written.
    pub(crate) fn finish(&self, sums: Checksums) -> Spool {
        let body = SpoolBody::File(Arc::clone(&self.temp));
        Spool::new(body, sums, Arc::clone(&self.room))
    }
}

//! Takes the bytes of a body as they arrive.
//!
//! A body of at most [`SMALL`] bytes stays in memory. A larger one is collected without copying into
//! batches of [`BATCH`] bytes; a batch is checksummed and written in one hop to the blocking pool while
//! the next one is collected. So a body takes about two batches of memory, whatever its length.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::dir::room_for;
use super::{Body, SMALL, Spool, SpoolDir, Summer, Temp};
use crate::store::budget::Reservation;
use crate::store::{Error, Result};
use crate::sys;

/// Bytes that are written at once.
pub(crate) const BATCH: usize = 256 * 1024;
/// Shorter pieces are copied together, so that a trickle does not pin a network buffer per piece.
const TINY: usize = 1024;
/// How often a write is tried again after entries made way on a full volume.
pub(crate) const ATTEMPTS: usize = 4;
/// Freed beyond the need when the volume is full, in bytes.
pub(crate) const SPARE: u64 = 1 << 20;

/// A body that is being written. Dropped before [`SpoolWriter::finish`], it is removed and its room
/// given back; so it must be after a dropped or failed [`SpoolWriter::write`].
#[derive(Debug)]
pub struct SpoolWriter {
    dir: SpoolDir,
    room: Arc<Reservation>,
    written: u64,
    batch: Batch,
    /// `None` while it is in flight, and after a failure.
    job: Option<Box<Job>>,
    flight: Option<JoinHandle<Outcome>>,
}

type Outcome = (Box<Job>, io::Result<()>);

impl SpoolWriter {
    pub(super) fn new(dir: SpoolDir, room: Reservation) -> Self {
        let room = Arc::new(room);
        let job = Job {
            dir: dir.clone(),
            room: Arc::clone(&room),
            temp: None,
            summer: Summer::default(),
            frames: Vec::new(),
            summed: false,
            offset: 0,
        };
        Self {
            dir,
            room,
            written: 0,
            batch: Batch::default(),
            job: Some(Box::new(job)),
            flight: None,
        }
    }

    /// Adds the next bytes. May wait for the disk and for eviction.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NoSpace`] or [`Error::Io`]; the body is lost then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let written = self.written + chunk.len() as u64;
        self.dir.check_size(written)?;
        let needed = room_for(written);
        if needed > self.room.bytes() {
            self.room.ensure(needed, self.dir.step()).await?;
        }
        self.written = written;
        self.batch.push(chunk);
        if self.batch.len() >= BATCH {
            self.flush().await?;
        }
        Ok(())
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
        self.settle().await?;
        let small = self.written <= SMALL as u64 && self.job.as_ref().is_some_and(|job| job.temp.is_none());
        if !small {
            self.flush().await?;
            self.settle().await?;
        }
        let mut job = self.job.take().ok_or_else(lost)?;
        let body = match job.temp.take() {
            Some(temp) => Body::File(temp),
            None => {
                let frames = self.batch.take();
                frames.iter().for_each(|frame| job.summer.update(frame));
                Body::Memory(frames)
            }
        };
        self.room.shrink(room_for(self.written));
        Ok(Spool::new(body, job.summer.finish(), self.room))
    }

    /// Hands the batch to the blocking pool, after the one before it is written.
    async fn flush(&mut self) -> Result<()> {
        self.settle().await?;
        let mut job = self.job.take().ok_or_else(lost)?;
        job.frames = self.batch.take();
        job.summed = false;
        self.flight = Some(self.dir.tasks().spawn_blocking(|| job.run()));
        Ok(())
    }

    /// Waits until nothing is in flight.
    async fn settle(&mut self) -> Result<()> {
        let mut attempts = 0;
        while let Some(flight) = &mut self.flight {
            let (job, outcome) = flight.await.map_err(|_| Error::Stopping)?;
            self.flight = None;
            let Err(error) = outcome else {
                self.job = Some(job);
                return Ok(());
            };
            let error = refused("writing a temporary file", error, job.length());
            attempts += 1;
            if attempts > ATTEMPTS || !make_way(&self.dir, &error, job.length()).await {
                return Err(error);
            }
            self.flight = Some(self.dir.tasks().spawn_blocking(|| job.run()));
        }
        Ok(())
    }
}

/// Whether `error` says that the volume is full and something could be evicted, so that it is worth
/// to try again.
pub(crate) async fn make_way(dir: &SpoolDir, error: &Error, needed: u64) -> bool {
    matches!(error, Error::NoSpace { .. }) && dir.budget().make_room(needed + SPARE).await > 0
}

/// An error of a write of `length` bytes.
pub(crate) fn refused(operation: &'static str, error: io::Error, length: u64) -> Error {
    match Error::io(operation, error) {
        Error::NoSpace { reason, .. } => Error::NoSpace {
            needed: length,
            reason,
        },
        other => other,
    }
}

fn lost() -> Error {
    Error::io("writing a temporary file", io::ErrorKind::BrokenPipe.into())
}

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    frames: Vec<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl Batch {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        if chunk.len() < TINY {
            self.tail.extend_from_slice(&chunk);
            return;
        }
        self.end_tail();
        self.frames.push(chunk);
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.frames.push(self.tail.split().freeze());
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.end_tail();
        self.length = 0;
        std::mem::take(&mut self.frames)
    }
}

/// What is handed to the blocking pool and comes back from it.
#[derive(Debug)]
struct Job {
    dir: SpoolDir,
    room: Arc<Reservation>,
    temp: Option<Arc<Temp>>,
    summer: Summer,
    frames: Vec<Bytes>,
    /// Whether the frames are in the sums already: a second attempt only writes.
    summed: bool,
    offset: u64,
}

impl Job {
    fn length(&self) -> u64 {
        self.frames.iter().map(|frame| frame.len() as u64).sum()
    }

    fn run(mut self: Box<Self>) -> Outcome {
        let outcome = self.write();
        (self, outcome)
    }

    fn write(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.summed, true) {
            for frame in &self.frames {
                self.summer.update(frame);
            }
        }
        let temp = match &self.temp {
            Some(temp) => temp,
            None => self.temp.insert(Arc::new(Temp::create(&self.dir, &self.room)?)),
        };
        sys::write_all_vectored_at(temp.file(), &self.frames, self.offset)?;
        self.offset += self.length();
        self.frames.clear();
        Ok(())
    }
}

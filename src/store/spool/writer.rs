//! Takes the bytes of a body as they arrive.
//!
//! A body of at most [`SMALL`] bytes stays in memory. A larger one is collected without copying into
//! batches of [`BATCH`] bytes; a batch is checksummed and written in one hop to the blocking pool while
//! the next one is collected. So a body takes about two batches of memory, and at
//! worst twice that, whatever its length.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::dir::room_for;
use super::{Body, SMALL, Spool, SpoolDir, Summer, Temp};
use crate::store::budget::Reservation;
use crate::store::{Error, Result};
use crate::sys;

/// Bytes that are written at once, except at the ends of a body.
const BATCH: usize = 256 * 1024;
/// Shorter pieces are copied together, so that a trickle does not pin a network buffer per piece: each of them is
/// part of a buffer of 8 KiB and more.
const TINY: usize = 4096;
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
    /// The room for all of it, in bytes, if its length was announced.
    announced: Option<u64>,
    written: u64,
    batch: Batch,
    /// `None` while it is in flight, and after a failure.
    job: Option<Box<Job>>,
    flight: Option<JoinHandle<Outcome>>,
}

type Outcome = (Box<Job>, io::Result<()>);

impl SpoolWriter {
    /// `expected` is the length of the body in bytes, if that is known; it binds nobody.
    pub(super) fn new(dir: SpoolDir, room: Reservation, expected: Option<u64>) -> Self {
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
            announced: expected.map(room_for),
            written: 0,
            batch: Batch::at(0),
            job: Some(Box::new(job)),
            flight: None,
        }
    }

    /// Adds the next bytes. May wait for the disk and for eviction.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NoSpace`] or [`Error::Io`]; the body is lost then.
    pub async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        let written = self.written + chunk.len() as u64;
        self.dir.check_size(written)?;
        self.reserve(room_for(written)).await?;
        self.written = written;
        while self.batch.fill(&mut chunk) {
            self.flush().await?;
        }
        Ok(())
    }

    async fn reserve(&self, needed: u64) -> Result<()> {
        if needed <= self.room.bytes() {
            return Ok(());
        }
        match self.announced {
            Some(most) => self.room.ensure_of(needed, self.dir.announced_step(), most).await,
            None => self.room.ensure(needed, self.dir.step()).await,
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
///
/// A batch ends where a multiple of [`BATCH`] does in the file. The page cache keeps what one call has written in
/// as few pieces as its beginning is aligned for, and the fewer they are, the cheaper is the file to send.
#[derive(Debug)]
pub(crate) struct Batch {
    frames: Vec<Bytes>,
    tail: BytesMut,
    room: usize,
}

impl Batch {
    /// An empty batch of bytes that belong at `offset` of a file.
    pub(crate) fn at(offset: u64) -> Self {
        Self {
            frames: Vec::new(),
            tail: BytesMut::new(),
            room: BATCH - (offset % BATCH as u64) as usize,
        }
    }

    /// Takes from the front of `chunk` what fits. Answers whether something is left, for which the batch has to be
    /// taken first. A full one waits for that: the last one then goes with the end of the body, in one hop.
    pub(crate) fn fill(&mut self, chunk: &mut Bytes) -> bool {
        let fitting = chunk.split_to(self.room.min(chunk.len()));
        self.room -= fitting.len();
        self.push(fitting);
        !chunk.is_empty()
    }

    fn push(&mut self, chunk: Bytes) {
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

    /// All that waits, in order.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.end_tail();
        if self.room == 0 {
            self.room = BATCH;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the batches that frames of `frames` bytes make from `offset` on.
    fn batches(offset: u64, frames: &[usize]) -> Vec<usize> {
        let mut batch = Batch::at(offset);
        let mut lengths = Vec::new();
        let length = |frames: Vec<Bytes>| frames.iter().map(Bytes::len).sum::<usize>();
        for frame in frames {
            let mut chunk = Bytes::from(vec![7; *frame]);
            while batch.fill(&mut chunk) {
                lengths.push(length(batch.take()));
            }
        }
        lengths.push(length(batch.take()));
        lengths
    }

    #[test]
    fn batches_end_where_the_page_cache_wants_it() {
        assert_eq!(batches(0, &[15_588, BATCH, 100]), [BATCH, 15_688]);
        assert_eq!(batches(10, &[BATCH, BATCH]), [BATCH - 10, BATCH, 10]);
        assert_eq!(
            batches(BATCH as u64 * 3, &[3 * BATCH + 1]),
            [BATCH, BATCH, BATCH, 1]
        );
    }

    #[test]
    fn the_last_batch_is_not_empty() {
        assert_eq!(batches(0, &[BATCH, BATCH]), [BATCH, BATCH]);
        assert_eq!(batches(0, &[]), [0]);
    }

    #[test]
    fn batches_keep_the_order_of_tiny_and_long_frames() {
        let body: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
        let mut batch = Batch::at(99);
        let (mut rest, mut found) = (Bytes::from(body.clone()), Vec::new());
        for length in [1, 1023, 2048, 300_000, 5, 396_923].into_iter().cycle() {
            let mut chunk = rest.split_to(length.min(rest.len()));
            while batch.fill(&mut chunk) {
                found.extend(batch.take().concat());
            }
            if rest.is_empty() {
                break;
            }
        }
        found.extend(batch.take().concat());
        assert_eq!(found, body);
    }
}

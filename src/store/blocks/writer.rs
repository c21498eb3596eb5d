//! Takes the bytes of one block as they arrive.
//!
//! Frames are collected without copying into batches, and a batch is summed and written in one hop to the
//! blocking pool while the next one is collected; the last hop also writes the record. A block whose length is
//! not known waits in a spool until it is, and is copied then: no known client sends one.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::task::JoinHandle;

use super::block::Which;
use super::claim::Claim;
use super::sums::PartSums;
use super::upload::{Upload, refused};
use super::{BlocksError, Place};
use crate::store::Error;
use crate::store::spool::{ATTEMPTS, Batch, SpoolWriter, make_way};
use crate::sys;

/// A block on its way. Dropped before [`BlockWriter::finish`], it never arrived; so it must be after a dropped
/// or failed [`BlockWriter::write`].
#[derive(Debug)]
pub struct BlockWriter {
    upload: Arc<Upload>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Known(Box<Known>),
    Unknown(Place, Box<SpoolWriter>),
}

impl BlockWriter {
    pub(super) async fn new(
        upload: &Arc<Upload>,
        place: Place,
        length: Option<u64>,
    ) -> Result<Self, BlocksError> {
        let kind = match length {
            Some(length) => Kind::Known(Box::new(Known::new(upload, place, length).await?)),
            None => {
                upload.state().admit(&place, 0)?;
                Kind::Unknown(place, Box::new(upload.dir.spools().create(None).await?))
            }
        };
        upload.touch();
        Ok(Self {
            upload: Arc::clone(upload),
            kind,
        })
    }

    /// Takes the next bytes. May wait for the disk.
    ///
    /// # Errors
    /// [`BlocksError::Size`] beyond the announced length, before anything of `chunk` is written;
    /// [`BlocksError::Ended`]; [`BlocksError::Store`] (no room, too large, the disk). The block is lost then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), BlocksError> {
        self.upload.touch();
        match &mut self.kind {
            Kind::Known(known) => known.write(chunk).await,
            Kind::Unknown(_, spool) => {
                self.upload.state().check_open()?;
                Ok(spool.write(chunk).await?)
            }
        }
    }

    /// All bytes are here: from now on they count, and survive a restart. Replaces what was at the same place.
    ///
    /// # Errors
    /// [`BlocksError::Size`] if fewer came than were announced; otherwise as [`BlockWriter::write`]. The block
    /// never arrived then.
    pub async fn finish(self) -> Result<(), BlocksError> {
        let upload = self.upload;
        let done = match self.kind {
            Kind::Known(known) => known.finish().await,
            Kind::Unknown(place, spool) => copy(&upload, place, *spool).await,
        };
        upload.touch();
        done
    }
}

/// The length is known now.
async fn copy(upload: &Arc<Upload>, place: Place, spool: SpoolWriter) -> Result<(), BlocksError> {
    let spool = spool.finish().await?;
    let mut known = Known::new(upload, place, spool.len()).await?;
    let mut pieces = spool.content().pieces();
    let failed = |error| BlocksError::Store(Error::io("reading a temporary file", error));
    while let Some(piece) = pieces.try_next().await.map_err(failed)? {
        known.write(piece).await?;
    }
    known.finish().await
}

/// A block of known length.
#[derive(Debug)]
struct Known {
    upload: Arc<Upload>,
    epoch: u32,
    declared: u64,
    received: u64,
    batch: Batch,
    /// `None` while it is in flight, and after a failure.
    job: Option<Box<Job>>,
    flight: Option<JoinHandle<Outcome>>,
}

type Outcome = (Box<Job>, Result<(), BlocksError>);

impl Known {
    async fn new(upload: &Arc<Upload>, place: Place, length: u64) -> Result<Self, BlocksError> {
        let claim = Claim::new(upload, &place, length).await?;
        let epoch = claim.epoch();
        let batch = match claim.extent() {
            // Shorter than a batch, and written in one piece with its record.
            extent if extent.file == Which::Log => Batch::at(0),
            extent => Batch::at(extent.at),
        };
        let job = Job {
            sums: PartSums::new(claim.extent().phase()),
            claim,
            place,
            file: None,
            frames: Vec::new(),
            summed: false,
            written: 0,
            last: false,
        };
        Ok(Self {
            upload: Arc::clone(upload),
            epoch,
            declared: length,
            received: 0,
            batch,
            job: Some(Box::new(job)),
            flight: None,
        })
    }

    async fn write(&mut self, mut chunk: Bytes) -> Result<(), BlocksError> {
        self.upload.state().check_writer(self.epoch)?;
        let received = self.received + chunk.len() as u64;
        if received > self.declared {
            return Err(self.wrong_size(received));
        }
        self.received = received;
        while self.batch.fill(&mut chunk) {
            self.flush(false).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), BlocksError> {
        if self.received < self.declared {
            return Err(self.wrong_size(self.received));
        }
        self.flush(true).await?;
        self.settle().await
    }

    fn wrong_size(&self, received: u64) -> BlocksError {
        BlocksError::Size {
            declared: self.declared,
            received,
        }
    }

    /// Hands the batch to the blocking pool, after the one before it is written.
    async fn flush(&mut self, last: bool) -> Result<(), BlocksError> {
        self.settle().await?;
        let mut job = self.job.take().ok_or(BlocksError::Ended)?;
        job.frames = self.batch.take();
        job.summed = false;
        job.last = last;
        self.start(job);
        Ok(())
    }

    fn start(&mut self, job: Box<Job>) {
        self.flight = Some(self.upload.dir.tasks().spawn_blocking(|| job.run()));
    }

    /// Waits until nothing is in flight.
    async fn settle(&mut self) -> Result<(), BlocksError> {
        let mut attempts = 0;
        while let Some(flight) = &mut self.flight {
            let (job, outcome) = flight.await.map_err(|_| BlocksError::Store(Error::Stopping))?;
            self.flight = None;
            let Err(error) = outcome else {
                self.job = Some(job);
                return Ok(());
            };
            attempts += 1;
            let needed = job.length();
            let again = match &error {
                BlocksError::Store(full) if attempts <= ATTEMPTS => {
                    make_way(self.upload.dir.spools(), full, needed).await
                }
                _ => false,
            };
            if !again {
                return Err(error);
            }
            self.start(job);
        }
        Ok(())
    }
}

/// What is handed to the blocking pool and comes back from it.
#[derive(Debug)]
struct Job {
    claim: Claim,
    place: Place,
    file: Option<File>,
    frames: Vec<Bytes>,
    sums: PartSums,
    /// Whether the frames are in the sums already: a second attempt only writes.
    summed: bool,
    written: u64,
    /// Whether the block is complete with these frames.
    last: bool,
}

impl Job {
    fn length(&self) -> u64 {
        self.frames.iter().map(|frame| frame.len() as u64).sum()
    }

    fn run(mut self: Box<Self>) -> Outcome {
        let outcome = self.write();
        (self, outcome)
    }

    fn write(&mut self) -> Result<(), BlocksError> {
        let upload = Arc::clone(self.claim.upload());
        let _hop = upload.enter(self.claim.epoch())?;
        if !std::mem::replace(&mut self.summed, true) {
            self.sums.update_all(&self.frames);
        }
        if self.claim.extent().file == Which::Log {
            let bytes = self.frames.concat();
            return upload.commit(&self.place, &mut self.claim, &self.sums.sums(), &bytes);
        }
        let length = self.length();
        if length > 0 {
            let file = match &self.file {
                Some(file) => file,
                None => self.file.insert(upload.open(self.claim.extent().file)?),
            };
            self.claim.will_write(self.written + length);
            let start = self.claim.extent().at + self.written;
            sys::write_all_vectored_at(file, &self.frames, start)
                .map_err(|error| refused("writing a block", error, length))?;
            upload.grew(self.claim.extent().file, start..start + length);
            self.written += length;
            self.frames.clear();
        }
        match self.last {
            true => upload.commit(&self.place, &mut self.claim, &self.sums.sums(), &[]),
            false => Ok(()),
        }
    }
}

//! Takes the bytes of one block as they arrive.
//!
//! They go in batches to the place that was claimed for them; the last hop also writes the record. A block whose
//! length is not known waits in a spool until it is, and is copied then: no known client sends one.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::block::UploadFile;
use super::claim::Claim;
use super::upload::{BlockUpload, refused};
use super::{BlockPlace, BlocksError};
use crate::store::batch::{BatchSink, BatchWriter, total_length};
use crate::store::budget::{OpenFile, RoomWatch};
use crate::store::memory::nobody;
use crate::store::spool::{ChecksumBuilder, SpoolWriter};
use crate::store::{Error, TierName};
use crate::sys;

/// A block on its way. Dropped before [`BlockWriter::finish`], it never arrived; so it must be after a dropped
/// or failed [`BlockWriter::write`].
#[derive(Debug)]
pub struct BlockWriter {
    upload: Arc<BlockUpload>,
    kind: WriterKind,
    owner: Arc<str>,
}

#[derive(Debug)]
enum WriterKind {
    Sized(Box<SizedWriter>),
    Unsized(BlockPlace, Box<SpoolWriter>),
}

impl BlockWriter {
    pub(super) async fn new(
        upload: &Arc<BlockUpload>,
        place: BlockPlace,
        length: Option<u64>,
    ) -> Result<Self, BlocksError> {
        let kind = match length {
            Some(length) => WriterKind::Sized(Box::new(SizedWriter::new(upload, place, length).await?)),
            None => {
                upload.state().admit(&place, 0)?;
                WriterKind::Unsized(place, Box::new(upload.spools.create(None).await?))
            }
        };
        upload.touch();
        Ok(Self {
            upload: Arc::clone(upload),
            kind,
            owner: nobody(),
        })
    }

    /// What waits in memory counts as this owner's. Comes before the first bytes.
    #[must_use]
    pub fn charged_to(mut self, owner: &Arc<str>) -> Self {
        match &mut self.kind {
            WriterKind::Sized(known) => known.batches.charge(owner),
            WriterKind::Unsized(_, spool) => spool.charge(owner),
        }
        self.owner = Arc::clone(owner);
        self
    }

    /// Takes the next bytes. May wait for the disk.
    ///
    /// # Errors
    /// [`BlocksError::Size`] beyond the announced length, before anything of `chunk` is written;
    /// [`BlocksError::Ended`]; [`BlocksError::Store`] (no room, too large, the disk). The block is lost then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), BlocksError> {
        self.upload.touch();
        match &mut self.kind {
            WriterKind::Sized(known) => known.write(chunk).await,
            WriterKind::Unsized(_, spool) => {
                self.upload.state().check_open()?;
                Ok(spool.write(chunk).await?)
            }
        }
    }

    /// Resolves when the room of the block, or of the upload, is taken back for others.
    pub(crate) async fn revoked(&self) -> BlocksError {
        let of_writer = async {
            match &self.kind {
                WriterKind::Sized(known) => known.watch.revoked().await,
                WriterKind::Unsized(_, spool) => spool.revoked().await,
            }
        };
        let error = tokio::select! {
            error = self.upload.watch.revoked() => error,
            error = of_writer => error,
        };
        error.into()
    }

    /// All bytes are here: from now on they count, and survive a restart. Replaces what was at the same place.
    /// Gives the tier that has them: until an upload is assembled, that is the disk.
    ///
    /// # Errors
    /// [`BlocksError::Size`] if fewer came than were announced; otherwise as [`BlockWriter::write`]. The block
    /// never arrived then.
    pub async fn finish(self) -> Result<TierName, BlocksError> {
        let upload = self.upload;
        let done = match self.kind {
            WriterKind::Sized(known) => known.finish().await,
            WriterKind::Unsized(place, spool) => copy(&upload, place, *spool, &self.owner).await,
        };
        upload.touch();
        done.map(|()| TierName::DISK)
    }
}

/// The length is known now.
async fn copy(
    upload: &Arc<BlockUpload>,
    place: BlockPlace,
    spool: SpoolWriter,
    owner: &Arc<str>,
) -> Result<(), BlocksError> {
    let spool = spool.finish().await?;
    let mut known = SizedWriter::new(upload, place, spool.len()).await?;
    known.batches.charge(owner);
    let mut pieces = spool.content().pieces();
    let failed = |error| BlocksError::Store(Error::io("reading a temporary file", error));
    while let Some(piece) = pieces.try_next().await.map_err(failed)? {
        known.write(piece).await?;
    }
    known.finish().await
}

/// A block of known length.
#[derive(Debug)]
struct SizedWriter {
    upload: Arc<BlockUpload>,
    epoch: u32,
    declared: u64,
    received: u64,
    watch: RoomWatch,
    batches: BatchWriter<BlockSink>,
}

impl SizedWriter {
    async fn new(upload: &Arc<BlockUpload>, place: BlockPlace, length: u64) -> Result<Self, BlocksError> {
        let (claim, watch) = Claim::new(upload, &place, length).await?;
        let epoch = claim.epoch;
        let offset = match &claim.extent {
            // Shorter than a batch, and written in one piece with its record.
            extent if extent.file == UploadFile::Log => 0,
            extent => extent.at,
        };
        let sink = BlockSink {
            sums: ChecksumBuilder::from_offset(claim.extent.phase()),
            claim,
            place,
            file: None,
            written: 0,
        };
        let dir = &upload.dir;
        Ok(Self {
            upload: Arc::clone(upload),
            epoch,
            declared: length,
            received: 0,
            watch,
            batches: BatchWriter::new(
                (dir.spools().budget(), dir.tasks(), upload.spools.asker()),
                dir.spools().memory().share(&nobody()),
                offset,
                sink,
            ),
        })
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), BlocksError> {
        self.upload.state().check_writer(self.epoch)?;
        self.watch.check()?;
        self.upload.watch.check()?;
        let received = self.received + chunk.len() as u64;
        if received > self.declared {
            return Err(self.wrong_size(received));
        }
        self.received = received;
        self.batches.write(chunk).await
    }

    async fn finish(self) -> Result<(), BlocksError> {
        if self.received < self.declared {
            return Err(self.wrong_size(self.received));
        }
        self.batches.finish().await?;
        Ok(())
    }

    fn wrong_size(&self, received: u64) -> BlocksError {
        BlocksError::Size {
            declared: self.declared,
            received,
        }
    }
}

/// The place of one block.
#[derive(Debug)]
struct BlockSink {
    /// Closed before the room of the claim is given back.
    file: Option<OpenFile>,
    claim: Claim,
    place: BlockPlace,
    sums: ChecksumBuilder,
    written: u64,
}

impl BlockSink {
    fn append(&mut self, frames: &mut Vec<Bytes>) -> Result<(), BlocksError> {
        let length = total_length(frames);
        if length == 0 {
            return Ok(());
        }
        let upload = &self.claim.upload;
        let extent = &self.claim.extent;
        let (which, start) = (extent.file, extent.at + self.written);
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(upload.open(which, extent.range().end)?),
        };
        self.claim.will_write(self.written + length);
        sys::write_all_vectored_at(file, &*frames, start)
            .map_err(|error| refused("writing a block", error, length))?;
        self.claim.upload.grew(which, start..start + length);
        self.written += length;
        frames.clear();
        Ok(())
    }
}

impl BatchSink for BlockSink {
    type Error = BlocksError;

    fn sum(&mut self, frames: &[Bytes]) {
        self.sums.update_all(frames);
    }

    fn write(&mut self, frames: &mut Vec<Bytes>, last: bool) -> Result<(), BlocksError> {
        let upload = Arc::clone(&self.claim.upload);
        let _hop = upload.enter(self.claim.epoch)?;
        if self.claim.extent.file == UploadFile::Log {
            let bytes = frames.concat();
            return upload.commit(&self.place, &mut self.claim, &self.sums.sums(), &bytes);
        }
        self.append(frames)?;
        match last {
            true => upload.commit(&self.place, &mut self.claim, &self.sums.sums(), &[]),
            false => Ok(()),
        }
    }

    /// A block in the log is written in one piece with its record.
    fn takes_short_batches(&self) -> bool {
        self.claim.extent.file != UploadFile::Log
    }

    fn store_error(error: &BlocksError) -> Option<&Error> {
        match error {
            BlocksError::Store(error) => Some(error),
            _ => None,
        }
    }

    fn lost() -> BlocksError {
        BlocksError::Ended
    }
}

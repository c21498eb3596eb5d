//! Bodies that arrive in blocks: as a whole, as ranges in any order, or as blocks with names whose order is
//! told at the end. What is complete survives a restart.
//!
//! An upload is three files in one folder, made when they are needed:
//!
//! - `<id>.log` says what arrived ([`mod@log`]). A record follows the bytes it describes, so what was answered
//!   is there after a crash of this process; after one of the machine, checksums tell. A short body stands in
//!   the log itself, so that thousands of small entries cost a file each and no more.
//! - `<id>.data` has each block at its place in the body, if that can be known or guessed ([`state`]) and is free.
//!   Then it becomes the entry by a second name for it: nothing is copied ([`assemble`]).
//! - `<id>.more` has all others. So a block that is sent again never damages the complete one.
//!
//! Which bytes a body has is decided by the last complete [`BlockPlace::Whole`] or list of blocks
//! ([`Blocks::put_block_list`]); each replaces everything that came before it. Without either, by the ranges, of which
//! the later complete one wins byte by byte.
//!
//! Room: all complete bytes, in blocks of the volume, are in one reservation of the upload, those on their way
//! in one of each writer. While a spool has a link to the data file, its part is there. What was replaced is given
//! back to the volume at once where the system can do that; elsewhere an upload may hold as much garbage as it
//! has bytes, but at least 1 GiB.
//!
//! Damage: every MiB of a block has a checksum in the log. What is copied is held against it. What is not
//! copied takes its checksums from there if this process has seen it arrive, and is read and held against them if it
//! came before a crash: log and data are two files, and a power loss may have kept the one without the other. A block
//! that is not what arrived counts as one that never came.

mod ahead;
mod assemble;
mod block;
mod claim;
mod commit;
mod dir;
mod file_usage;
mod log;
mod open;
mod recover;
mod state;
mod sums;
#[cfg(test)]
mod tests;
mod upload;
mod writer;

use std::sync::Arc;

use tokio::time::Instant;

pub use dir::{BlockDir, TenantOf};
pub use writer::BlockWriter;

use self::upload::{BlockUpload, blocking};
use super::budget::{Ask, BLOCK_BYTES, whole_blocks};
use super::{EarlyUpload, Error, Spool};

/// The most blocks of one body.
pub const MAX_BLOCKS: usize = 50_000;
/// The most blocks and lists that one upload ever takes, repeated ones included.
pub const MAX_RECORDS: usize = 100_000;
/// The longest id of a block in bytes; the shortest has one.
pub const MAX_ID_BYTES: usize = 64;
/// The longest note of an upload in bytes.
pub const MAX_NOTE_BYTES: usize = 16 << 10;

/// Where the bytes of one block belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockPlace {
    /// They are the whole body.
    Whole,
    /// From this offset of the body on, in bytes.
    At(u64),
    /// A block with an opaque id of 1 to [`MAX_ID_BYTES`] bytes; [`Blocks::put_block_list`] tells where it belongs.
    Block(Box<[u8]>),
}

/// Why an upload does not go on.
#[derive(Debug, thiserror::Error)]
pub enum BlocksError {
    /// Its body was put together, or it was removed.
    #[error("the upload has ended")]
    Ended,
    /// More or fewer bytes came than were announced.
    #[error("{declared} bytes were announced, {received} bytes were received")]
    Size {
        /// Bytes that were announced.
        declared: u64,
        /// Bytes that came.
        received: u64,
    },
    /// A range of the body never came, or a crash of the machine has lost it.
    #[error("the bytes from offset {at} on are missing")]
    Hole {
        /// The first missing byte.
        at: u64,
    },
    /// Nothing came, or blocks without their order.
    #[error("the body is not complete")]
    Incomplete,
    /// A list names a block that is not there.
    #[error("the list names a block that was not received")]
    UnknownBlock,
    /// The id of a block is empty or too long.
    #[error("the id of a block has 1 to 64 bytes")]
    BlockId,
    /// There are too many blocks or records.
    #[error("the upload has more than {limit} blocks")]
    TooManyBlocks {
        /// How many there may be.
        limit: usize,
    },
    /// The tier.
    #[error(transparent)]
    Store(#[from] Error),
}

/// An upload. Cheap to clone. Dropped without [`Blocks::remove`], it stays on the disk for the next start, and
/// its room is not counted any more: drop it only when the server stops.
#[derive(Debug, Clone)]
pub struct Blocks(Arc<BlockUpload>);

impl Blocks {
    /// Its name.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// What the owner gave to [`BlockDir::create`].
    pub fn note(&self) -> &[u8] {
        &self.0.note
    }

    /// From now on parts of the body that are complete are sent before the body is whole; what was sent goes
    /// with the spool of [`Blocks::assemble`], and is given up if that differs from it. For an upload that has
    /// nothing yet, once.
    pub fn send_early(&self, upload: EarlyUpload) {
        self.0.send_early(upload);
    }

    /// Bytes of the body that are complete: of the last whole body or list, or else of all ranges and blocks.
    pub fn received(&self) -> u64 {
        self.0.state().received()
    }

    /// Whether there is anything that [`Blocks::assemble`] can begin with: a whole body, a list or a range.
    /// An empty body needs nothing.
    pub fn has_body(&self) -> bool {
        self.0.state().has_body()
    }

    /// Whether its room is needed for others: its tenant is above its share. Writers fail, and it should be removed.
    pub fn is_revoked(&self) -> bool {
        self.0.watch.is_revoked()
    }

    /// Bytes that its tenant never has to give for others.
    pub fn share(&self) -> u64 {
        self.0.spools.share().unwrap_or(u64::MAX)
    }

    /// When bytes passed last; the beginning or the restart if none did.
    pub fn last_traffic(&self) -> Instant {
        self.0.last_traffic()
    }

    /// Begins to take one block of `length` bytes, if that is known. Room for all of it is reserved when this
    /// returns; without a length, in steps.
    ///
    /// # Errors
    /// [`BlocksError::Ended`], [`BlocksError::BlockId`], [`BlocksError::TooManyBlocks`];
    /// [`Error::TooLarge`] if the block or its end can never fit, [`Error::NoSpace`] if there is no room, or if
    /// blocks were sent again too often; [`Error::Stopping`].
    pub async fn writer(&self, place: BlockPlace, length: Option<u64>) -> Result<BlockWriter, BlocksError> {
        match &place {
            BlockPlace::Block(id) if id.is_empty() || id.len() > MAX_ID_BYTES => Err(BlocksError::BlockId),
            _ => BlockWriter::new(&self.0, place, length).await,
        }
    }

    /// Puts complete blocks in order, and drops all that are not named. What comes later under
    /// one of these ids waits for the next list. Answers the length of the body in bytes. It survives a restart.
    ///
    /// # Errors
    /// [`BlocksError::UnknownBlock`], [`BlocksError::TooManyBlocks`], [`BlocksError::Ended`],
    /// [`BlocksError::Store`]. Nothing has changed then.
    pub async fn put_block_list(&self, ids: impl Into<Arc<[Box<[u8]>]>>) -> Result<u64, BlocksError> {
        let ids = ids.into();
        if ids.len() > MAX_BLOCKS {
            return Err(BlocksError::TooManyBlocks { limit: MAX_BLOCKS });
        }
        self.0.touch();
        let bytes = whole_blocks(log::list_bytes(ids.len())) + BLOCK_BYTES;
        let room = self.0.spools.reserve(bytes, Ask::Growth).await?;
        blocking(&self.0, move |upload| upload.put_block_list(&ids, &room)).await
    }

    /// The whole body of exactly `size` bytes. Afterwards no writer can change a byte. It may be called again,
    /// with the same size, until [`Blocks::remove`], also after the spool was put; as long as an earlier spool
    /// is there, it copies the body. Goes on to its end if the future is dropped.
    ///
    /// # Errors
    /// [`BlocksError::Size`], [`BlocksError::Hole`], [`BlocksError::Incomplete`]: the upload stays as it was and
    /// can be completed. [`BlocksError::Ended`]. [`BlocksError::Store`]: it can be tried again; writers that ran
    /// meanwhile may have failed.
    pub async fn assemble(&self, size: u64) -> Result<Spool, BlocksError> {
        let upload = Arc::clone(&self.0);
        let tasks = self.0.dir.tasks();
        let task = tasks.spawn(async move { assemble::run(&upload, size).await });
        task.await.map_err(|_| BlocksError::Store(Error::Stopping))?
    }

    /// Removes everything and gives back the room. Writers that run still fail with [`BlocksError::Ended`]; a
    /// spool that was assembled stays good.
    pub async fn remove(&self) {
        // Its open file would keep the bytes on the volume.
        if let Some(sender) = self.0.take_sender() {
            sender.end().await;
        }
        let removing = blocking(&self.0, |upload| {
            upload.remove();
            Ok(())
        });
        if removing.await.is_err() {
            tracing::debug!("an upload could not be removed; the next start finds it");
        }
    }
}

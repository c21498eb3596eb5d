//! What an upload has, as its log says it; kept up to date while blocks arrive, made anew at a start.

mod body;
mod place;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::body::DecidedBody;
use self::place::UnitLength;
use super::block::{Block, Ranges, UploadFile};
use super::file_usage::FileUsage;
use super::{BlockPlace, BlocksError, MAX_BLOCKS, MAX_RECORDS};
use crate::store::Error;
use crate::store::budget::whole_blocks;
use crate::store::spool::{Checksums, FOLDER_BYTES};

/// Garbage that an upload may always have, in bytes; more only if its blocks are more.
const ALLOWED_GARBAGE_BYTES: u64 = 1 << 30;
/// The longest log, in bytes.
const MAX_LOG_BYTES: u64 = 64 << 20;
/// A log up to this length takes short bodies, in bytes.
const MAX_SHORT_LOG_BYTES: u64 = 1 << 20;

/// How far the upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum UploadPhase {
    /// Blocks arrive.
    #[default]
    Open,
    /// The body is being put together. Nothing changes meanwhile.
    Sealed,
    /// It was put together once, and can be again. Nothing changes any more.
    Done,
    /// It is removed.
    Ended,
}

/// Whether the data file has a second link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LinkState {
    #[default]
    None,
    /// A spool has it, or the tier that took it.
    Linked,
    /// The spool is about to remove it.
    Unlinking,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct UploadState {
    pub(super) phase: UploadPhase,
    pub(super) link: LinkState,
    /// Incremented by every assembly. A writer that started in an older epoch is rejected.
    pub(super) epoch: u32,
    /// The data file has another name, which belongs to the tier: no byte of it may change.
    pub(super) frozen: bool,
    /// Work in the blocking pool that may write or free bytes.
    pub(super) hops: usize,
    /// Blocks on their way.
    pub(super) running: usize,
    pub(super) data: FileUsage,
    pub(super) more: FileUsage,
    /// Length of the log in bytes.
    pub(super) log: u64,
    /// Checksums of the data file once every block is at its place.
    pub(super) whole: Option<Checksums>,
    unit: UnitLength,
    records: u32,
    numbers: u32,
    /// Blocks with smaller numbers came before a crash, which may have lost some of their bytes: they are read
    /// before they become part of a body.
    recovered: u32,
    /// The numbers of blocks whose bytes are lost: as if they had never come.
    lost: HashSet<u32>,
    body: DecidedBody,
    blocks: HashMap<Box<[u8]>, Arc<Block>>,
    block_bytes: u64,
    ranges: Ranges,
}

impl UploadState {
    /// Nothing has come; the log has `log` bytes.
    pub(super) fn begun(log: u64) -> Self {
        Self {
            log,
            ..Self::default()
        }
    }

    /// Bytes that the upload takes on the volume; what is on its way is not among them.
    pub(super) fn cost(&self) -> u64 {
        self.data.cost() + self.more.cost() + whole_blocks(self.log) + FOLDER_BYTES
    }

    /// Whether one more block may come.
    ///
    /// # Errors
    /// [`BlocksError::Ended`], [`BlocksError::TooManyBlocks`], [`Error::NoSpace`] for what was sent again too
    /// often.
    pub(super) fn admit(&self, place: &BlockPlace, length: u64) -> Result<(), BlocksError> {
        self.check_open()?;
        let known = match place {
            BlockPlace::Block(id) => self.blocks.contains_key(id),
            _ => true,
        };
        if !known && self.blocks.len() + self.running >= MAX_BLOCKS {
            return Err(BlocksError::TooManyBlocks { limit: MAX_BLOCKS });
        }
        self.check_records()?;
        let held = self.data.bytes() + self.more.bytes();
        let live = self.received().max(self.ranges.covered() + self.block_bytes);
        match held.saturating_sub(live) > live.max(ALLOWED_GARBAGE_BYTES) || self.log > MAX_LOG_BYTES {
            true => Err(BlocksError::Store(Error::NoSpace {
                needed: length,
                reason: "too much of one upload was sent again and again".into(),
            })),
            false => Ok(()),
        }
    }

    pub(super) fn check_open(&self) -> Result<(), BlocksError> {
        match self.phase {
            UploadPhase::Open => Ok(()),
            _ => Err(BlocksError::Ended),
        }
    }

    /// The same for a writer that began in this epoch.
    pub(super) fn check_writer(&self, epoch: u32) -> Result<(), BlocksError> {
        self.check_open()?;
        match self.epoch == epoch {
            true => Ok(()),
            false => Err(BlocksError::Ended),
        }
    }

    /// Whether the log takes one more record.
    pub(super) fn check_records(&self) -> Result<(), BlocksError> {
        match (self.records as usize).saturating_add(self.running) > MAX_RECORDS {
            true => Err(BlocksError::TooManyBlocks { limit: MAX_RECORDS }),
            false => Ok(()),
        }
    }

    /// Whether a short body may stand in the log.
    pub(super) fn has_short_log(&self) -> bool {
        self.log <= MAX_SHORT_LOG_BYTES
    }

    /// What belongs to whom in a file other than the log.
    pub(super) fn usage(&mut self, file: UploadFile) -> Option<&mut FileUsage> {
        match file {
            UploadFile::Log => None,
            UploadFile::Data => Some(&mut self.data),
            UploadFile::More => Some(&mut self.more),
        }
    }
}

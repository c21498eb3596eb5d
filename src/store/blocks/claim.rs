//! The place and the room of one block on its way.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use super::block::{Extent, UploadFile};
use super::file_usage::max_growth;
use super::state::{UploadPhase, UploadState};
use super::upload::{BlockUpload, UploadHop};
use super::{BlockPlace, BlocksError, log};
use crate::store::budget::{Ask, BLOCK_BYTES, Reservation, RoomWatch, whole_blocks};
use crate::store::spool::MAX_MEMORY_SPOOL_BYTES;
use crate::sys;

/// See the module. Dropped before [`Claim::settle`], what was written leaves the volume.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) upload: Arc<BlockUpload>,
    pub(super) extent: Extent,
    /// `None` once it is settled.
    room: Option<Reservation>,
    /// So many bytes from the beginning on may have been written.
    written: u64,
    pub(super) epoch: u32,
}

impl Claim {
    /// Reserves the room, then takes a place. Fails as [`super::Blocks::writer`] does.
    pub(super) async fn new(
        upload: &Arc<BlockUpload>,
        place: &BlockPlace,
        length: u64,
    ) -> Result<(Self, RoomWatch), BlocksError> {
        let spools = &upload.spools;
        let end = match place {
            BlockPlace::At(offset) => offset.saturating_add(length),
            _ => length,
        };
        spools.check_size(end)?;
        upload.watch.check()?;
        let short = {
            let state = upload.state();
            state.admit(place, length)?;
            matches!(place, BlockPlace::Whole)
                && length <= MAX_MEMORY_SPOOL_BYTES as u64
                && state.has_short_log()
        };
        let bytes = max_room(length, short);
        // An upload holds room that only its end gives back.
        let room = spools.reserve(bytes, Ask::Growth).await?;
        let mut state = upload.state();
        state.admit(place, length)?;
        let extent = match short {
            true => Extent {
                file: UploadFile::Log,
                at: 0,
                length,
            },
            false => state.place(place, length, spools.capacity()),
        };
        state.running += 1;
        let epoch = state.epoch;
        drop(state);
        let watch = room.may_be_revoked();
        let claim = Self {
            upload: Arc::clone(upload),
            extent,
            room: Some(room),
            written: 0,
            epoch,
        };
        Ok((claim, watch))
    }

    /// Bytes up to `end`, counted from the beginning of the block, are about to be written.
    pub(super) fn will_write(&mut self, end: u64) {
        self.written = self.written.max(end);
    }

    /// The block counts: `bytes` of the room are the upload's now, the rest is given back.
    pub(super) fn settle(&mut self, state: &mut UploadState, bytes: u64) {
        if let Some(room) = self.room.take() {
            state.running -= 1;
            room.move_to(&self.upload.room, bytes);
        }
    }
}

/// The most that a block of `length` bytes can cost, in bytes. `short`: it goes into the log.
fn max_room(length: u64, short: bool) -> u64 {
    let record = whole_blocks(log::max_record_bytes(length)) + BLOCK_BYTES;
    match short {
        true => whole_blocks(length) + record,
        false => max_growth(length) + record,
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let left = self.let_go();
        self.upload.changed.notify_waiters();
        if let Some((left, hop)) = left {
            left.remove(&self.upload, hop);
        }
    }
}

impl Claim {
    /// Ends the claim. Answers what has to leave the volume.
    fn let_go(&mut self) -> Option<(AbandonedBytes, UploadHop)> {
        let room = self.room.take()?;
        let mut state = self.upload.state();
        state.running -= 1;
        let in_time = state.check_writer(self.epoch).is_ok();
        let ended = state.phase == UploadPhase::Ended;
        let range = self.extent.range();
        let written = range.start..range.start + self.written;
        let usage = state.usage(self.extent.file)?;
        if self.written == 0 {
            if in_time {
                usage.forget(&range);
            }
            return None;
        }
        let left = AbandonedBytes {
            room,
            file: self.extent.file,
            unwritten: written.end..range.end,
            written,
        };
        if in_time && let Some(hop) = UploadHop::begin(&self.upload, &mut state) {
            return Some((left, hop));
        }
        drop(state);
        // The body may have its bytes there by now. If the upload is removed, nothing is left anyway.
        if !ended {
            left.leave(&self.upload);
        }
        None
    }
}

/// What is left of a block that did not become complete.
struct AbandonedBytes {
    room: Reservation,
    file: UploadFile,
    written: Range<u64>,
    unwritten: Range<u64>,
}

impl AbandonedBytes {
    /// Takes it from the volume.
    fn remove(self, upload: &Arc<BlockUpload>, hop: UploadHop) {
        let upload = Arc::clone(upload);
        let tasks = upload.dir.tasks().clone();
        let work = move || {
            let file = File::options().write(true).open(upload.path(self.file));
            let punched = file.is_ok_and(|file| sys::punch_hole(&file, self.written.clone()).is_ok());
            upload.change(Some(&self.room), |state| {
                if let Some(usage) = state.usage(self.file) {
                    usage.forget(&self.unwritten);
                    usage.release(&self.written, punched);
                }
            });
            // A task that waits for the end of the hop finds the room free.
            drop(self.room);
            drop(hop);
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(tasks.spawn_blocking(work));
        } else {
            work();
        }
    }

    /// Counts it as garbage.
    fn leave(self, upload: &BlockUpload) {
        upload.change(Some(&self.room), |state| {
            if let Some(usage) = state.usage(self.file) {
                usage.soil(&self.written);
            }
        });
    }
}

//! What makes blocks and their order count: records in the log.

use std::fs::File;
use std::sync::Arc;

use super::block::UploadFile;
use super::claim::Claim;
use super::log::{self, LogRecord};
use super::upload::{BlockUpload, refused};
use super::{BlockPlace, BlocksError};
use crate::store::budget::Reservation;
use crate::sys;

impl BlockUpload {
    /// Blocking: writes a record behind the last one. What an attempt that failed has left is overwritten.
    fn append(&self, at: u64, record: &[u8]) -> Result<(), BlocksError> {
        let write = || {
            let file = File::options().write(true).open(self.path(UploadFile::Log))?;
            file.set_len(at + record.len() as u64)?;
            sys::write_all_vectored_at(&file, &[record], at)
        };
        write().map_err(|error| refused("writing the log of an upload", error, record.len() as u64))
    }

    /// Blocking: a block is on the volume; now it counts. `bytes`: the block itself if it goes into the log.
    pub(super) fn commit(
        self: &Arc<Self>,
        place: &BlockPlace,
        claim: &mut Claim,
        sums: &[u64],
        bytes: &[u8],
    ) -> Result<(), BlocksError> {
        let mut extent = claim.extent.clone();
        let ordered = self.log();
        let at = {
            let state = self.state();
            state.check_writer(claim.epoch)?;
            if state.has(place, &extent, sums) {
                // The answer to the first one was lost. The claim removes the second one.
                return Ok(());
            }
            state.check_records()?;
            state.log
        };
        let record = LogRecord::Block {
            place: place.clone(),
            extent: extent.clone(),
            sums: sums.into(),
        };
        let record = record.encode(bytes);
        self.append(at, &record)?;
        let length = record.len() as u64;
        if extent.file == UploadFile::Log {
            extent.at = at + log::body_offset(length, extent.length);
        }
        let (unneeded, number) = {
            let mut state = self.state();
            let before = state.cost();
            let unneeded = state.keep(place.clone(), extent.clone(), sums.into(), at + length);
            let grown = state.cost() - before;
            claim.settle(&mut state, grown);
            (unneeded, state.last_number())
        };
        if extent.file == UploadFile::Data
            && let Some(sender) = &*self.sender()
        {
            sender.arrived(extent.at, number);
        }
        drop(ordered);
        self.free(unneeded.into_iter().map(|block| block.extent.clone()));
        Ok(())
    }

    /// Blocking: the order of the blocks. `room` is what it may need.
    pub(super) fn put_block_list(
        self: &Arc<Self>,
        ids: &[Box<[u8]>],
        room: &Reservation,
    ) -> Result<u64, BlocksError> {
        let epoch = self.state().epoch;
        let _hop = self.enter(epoch)?;
        let ordered = self.log();
        let (numbers, size, at) = {
            let state = self.state();
            state.check_writer(epoch)?;
            let (numbers, size) = state.numbers(ids)?;
            if state.is_block_list(&numbers) {
                return Ok(size);
            }
            state.check_records()?;
            (numbers, size, state.log)
        };
        let record = LogRecord::List(numbers.clone()).encode(&[]);
        self.append(at, &record)?;
        let unneeded = {
            let mut state = self.state();
            let before = state.cost();
            let unneeded = state
                .put_block_list(&numbers, at + record.len() as u64)
                .unwrap_or_default();
            room.move_to(&self.room, state.cost() - before);
            unneeded
        };
        drop(ordered);
        self.free(unneeded.into_iter().map(|block| block.extent.clone()));
        Ok(size)
    }
}

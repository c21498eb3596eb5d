//! A body whose blocks are brought to their places in the data file.

use std::collections::HashMap;
use std::sync::Arc;

use super::plan::BodyPlan;
use crate::store::Spool;
use crate::store::blocks::BlocksError;
use crate::store::blocks::block::UploadFile;
use crate::store::blocks::file_usage::max_growth;
use crate::store::blocks::state::LinkState;
use crate::store::blocks::sums::{JoinedSums, SumError};
use crate::store::blocks::upload::{BlockUpload, blocking, failed};
use crate::store::budget::{Ask, OpenFile, Reservation};
use crate::store::spool::{ChecksumBuilder, Checksums, LinkOwner, SpoolBody, Temp};
use crate::sys;

/// A spool with a link to the data file; `None` if it cannot have one.
pub(super) async fn in_place(
    upload: &Arc<BlockUpload>,
    plan: &Arc<BodyPlan>,
) -> Result<Option<Spool>, BlocksError> {
    let room = match plan.moved().map(|segment| max_growth(segment.length)).sum() {
        0 => upload.room.split(0),
        growth => upload.spools.reserve(growth, Ask::Growth).await?,
    };
    let plan = Arc::clone(plan);
    blocking(upload, move |upload| {
        let file = upload.open(UploadFile::Data, plan.size)?;
        let metadata = file
            .metadata()
            .map_err(|error| failed("looking at an upload", error))?;
        if sys::link_count(&metadata) > 1 {
            return Ok(None);
        }
        let known = upload.state().whole.clone();
        let sums = match known {
            Some(sums) => sums,
            None => bring_in_place(upload, &plan, &file, &room)?,
        };
        // What an earlier attempt to put it has left behind it.
        file.set_len(plan.size)
            .map_err(|error| failed("cutting an upload", error))?;
        Ok(linked(upload, file, sums))
    })
    .await
}

/// Blocking: a second link to the data file, with its part of the room.
fn linked(upload: &Arc<BlockUpload>, file: OpenFile, sums: Checksums) -> Option<Spool> {
    let room = {
        let mut state = upload.state();
        state.link = LinkState::Linked;
        Arc::new(upload.room.split(state.data.cost()))
    };
    let spools = &upload.spools;
    let owner = Arc::clone(upload) as Arc<dyn LinkOwner>;
    match Temp::linked(spools, &room, (&upload.path(UploadFile::Data), file), owner) {
        Ok(temp) => Some(Spool::new(SpoolBody::File(Arc::new(temp)), sums, room)),
        Err(error) => {
            tracing::debug!(%error, "a file of an upload cannot have a second name; it is copied");
            upload.unlinked(&room);
            None
        }
    }
}

/// Blocking: copies what is elsewhere to its place, and makes the checksums of the body.
fn bring_in_place(
    upload: &Arc<BlockUpload>,
    plan: &BodyPlan,
    file: &OpenFile,
    room: &Reservation,
) -> Result<Checksums, BlocksError> {
    let summed = copy_and_sum(upload, plan, file);
    let summed = summed.map_err(|error| plan.failed(upload, "putting an upload together", error));
    let mut state = upload.state();
    let before = state.cost();
    let outcome = match summed {
        Ok(sums) => {
            state.data.cut(plan.size);
            state.whole = Some(sums.clone());
            Ok(sums)
        }
        Err(error) => {
            // Some of it is there.
            plan.moved()
                .for_each(|segment| state.data.soil(&(segment.start..segment.end())));
            Err(error)
        }
    };
    match state.cost().checked_sub(before) {
        Some(grown) => room.move_to(&upload.room, grown),
        None => upload.room.release(before - state.cost()),
    }
    outcome
}

/// Blocking: the checksums of the body in `file`, from those of its blocks as far as these tell. The bytes of
/// all others are read, and held against them, and so are those that came before a crash.
fn copy_and_sum(upload: &BlockUpload, plan: &BodyPlan, file: &OpenFile) -> Result<Checksums, SumError> {
    plan.read(upload, plan.unsound(upload).iter().copied(), |_, _, _| Ok(()))?;
    let mut moved: HashMap<u64, ChecksumBuilder> = HashMap::new();
    plan.read(upload, plan.moved(), |segment, at, bytes| {
        sys::write_all_vectored_at(file, &[bytes], at)?;
        let sums = moved.entry(segment.start);
        sums.or_insert_with(|| ChecksumBuilder::from_offset(segment.start % Checksums::BLOCK_BYTES))
            .update(bytes);
        Ok(())
    })?;
    let mut joined = JoinedSums::new(file);
    for segment in &plan.segments {
        let moved = moved.remove(&segment.start).map(|sums| sums.sums());
        let sums = moved.as_ref().unwrap_or(&segment.block.sums);
        let mut at = segment.start;
        for sum in sums {
            let cut = at - at % Checksums::BLOCK_BYTES + Checksums::BLOCK_BYTES;
            let end = segment.end().min(cut);
            joined.push(end - at, *sum)?;
            at = end;
        }
    }
    joined.finish(plan.size)
}

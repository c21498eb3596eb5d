//! From blocks to a body.
//!
//! If every block stands at its place in the data file, or can be brought there without overwriting one that
//! is needed, the spool gets a second link to that file. Otherwise the body is copied into a new file. A
//! short one is read into memory.

mod in_place;
mod plan;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use self::in_place::in_place;
use self::plan::BodyPlan;
use super::BlocksError;
use super::state::{LinkState, UploadPhase};
use super::upload::{BlockUpload, blocking};
use crate::store::Spool;
use crate::store::budget::Ask;
use crate::store::spool::{ChecksumBuilder, Checksums, MAX_MEMORY_SPOOL_BYTES, SpoolBody, Temp, room_for};
use crate::sys;

/// See [`crate::store::blocks::Blocks::assemble`].
pub(super) async fn run(upload: &Arc<BlockUpload>, size: u64) -> Result<Spool, BlocksError> {
    let (plan, before) = seal(upload, size).await?;
    let plan = Arc::new(plan);
    let made = make(upload, Arc::clone(&plan)).await;
    let made = made.map(|spool| with_uploaded_parts(upload, &plan, spool));
    // Its handles of blocks would keep replaced ones on the volume.
    drop(plan);
    let mut state = upload.state();
    let ended = state.phase == UploadPhase::Ended;
    if !ended {
        state.phase = if made.is_ok() { UploadPhase::Done } else { before };
    }
    drop(state);
    upload.changed.notify_waiters();
    match ended {
        true => Err(BlocksError::Ended),
        false => made,
    }
}

/// What was sent of the body goes with it.
fn with_uploaded_parts(upload: &BlockUpload, plan: &BodyPlan, spool: Spool) -> Spool {
    let sender = upload.take_sender();
    match sender.and_then(|sender| sender.close(&plan.segments)) {
        Some(parts) => spool.with_uploaded_parts(parts),
        None => spool,
    }
}

/// Nothing changes from now on. Answers the phase before.
async fn seal(upload: &Arc<BlockUpload>, size: u64) -> Result<(BodyPlan, UploadPhase), BlocksError> {
    let (segments, before) = loop {
        upload
            .wait(|state| (state.phase != UploadPhase::Sealed).then_some(()))
            .await;
        let sealed = blocking(upload, move |upload| {
            // No record is half way.
            let _ordered = upload.log();
            let mut state = upload.state();
            match state.phase {
                UploadPhase::Ended => Err(BlocksError::Ended),
                UploadPhase::Sealed => Ok(None),
                before => {
                    let segments = state.plan(size)?;
                    state.phase = UploadPhase::Sealed;
                    state.epoch += 1;
                    Ok(Some((segments, before)))
                }
            }
        });
        if let Some(sealed) = sealed.await? {
            break sealed;
        }
    };
    upload.wait(|state| (state.hops == 0).then_some(())).await;
    Ok((BodyPlan { size, segments }, before))
}

async fn make(upload: &Arc<BlockUpload>, plan: Arc<BodyPlan>) -> Result<Spool, BlocksError> {
    if plan.size <= MAX_MEMORY_SPOOL_BYTES as u64 {
        return in_memory(upload, plan).await;
    }
    let settled = |link: LinkState| (link != LinkState::Unlinking).then_some(link);
    let link = upload.wait(|state| settled(state.link)).await;
    if link == LinkState::None
        && !upload.state().frozen
        && plan.fits_in_place()
        && let Some(spool) = in_place(upload, &plan).await?
    {
        return Ok(spool);
    }
    copied(upload, plan).await
}

async fn in_memory(upload: &Arc<BlockUpload>, plan: Arc<BodyPlan>) -> Result<Spool, BlocksError> {
    let room = Arc::new(upload.spools.reserve(room_for(plan.size), Ask::Growth).await?);
    let bytes = match plan.segments.is_empty() {
        true => Bytes::new(),
        false => {
            blocking(upload, move |upload| {
                let mut bytes = BytesMut::with_capacity(plan.size as usize);
                let read = plan.read(upload, plan.segments.iter(), |_, _, piece| {
                    bytes.extend_from_slice(piece);
                    Ok(())
                });
                read.map_err(|error| plan.failed(upload, "reading an upload", error))?;
                Ok(bytes.freeze())
            })
            .await?
        }
    };
    let sums = Checksums::of(&bytes);
    Ok(Spool::new(SpoolBody::Memory(vec![bytes]), sums, room))
}

/// A body of its own, in order.
async fn copied(upload: &Arc<BlockUpload>, plan: Arc<BodyPlan>) -> Result<Spool, BlocksError> {
    let room = Arc::new(upload.spools.reserve(room_for(plan.size), Ask::Growth).await?);
    blocking(upload, move |upload| {
        let copy = || {
            let temp = Temp::create(&upload.spools, &room)?;
            temp.lengthen(plan.size)?;
            let mut summer = ChecksumBuilder::default();
            plan.read(upload, plan.segments.iter(), |_, at, bytes| {
                summer.update(bytes);
                sys::write_all_vectored_at(temp.file(), &[bytes], at)
            })?;
            Ok((temp, summer.finish()))
        };
        let (temp, sums) = copy().map_err(|error| plan.failed(upload, "copying an upload", error))?;
        let body = SpoolBody::File(Arc::new(temp));
        Ok(Spool::new(body, sums, Arc::clone(&room)))
    })
    .await
}

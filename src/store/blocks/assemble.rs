//! From blocks to a body.
//!
//! If every block stands at its place in the data file, or can be brought there without overwriting one that
//! is needed, that file is lent to the spool. Otherwise the body is copied into a new file. A short one is read
//! into memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::BlocksError;
use super::area::most_growth;
use super::block::{Segment, Which};
use super::dir::blocking;
use super::intervals::Intervals;
use super::state::{Lent, Phase};
use super::sums::{Joined, PartSums};
use super::upload::{Upload, failed, refused};
use crate::store::Spool;
use crate::store::budget::{Ask, Reservation};
use crate::store::spool::{Checksums, Lender, MAX_MEMORY_SPOOL_BYTES, SpoolBody, Summer, Temp, room_for};
use crate::sys;

/// See [`super::Blocks::assemble`].
pub(super) async fn run(upload: &Arc<Upload>, size: u64) -> Result<Spool, BlocksError> {
    let (plan, before) = seal(upload, size).await?;
    let plan = Arc::new(plan);
    let made = make(upload, Arc::clone(&plan)).await;
    let made = made.map(|spool| with_sent(upload, &plan, spool));
    // Its handles of blocks would keep replaced ones on the volume.
    drop(plan);
    let mut state = upload.state();
    let outcome = match (&made, state.phase) {
        (_, Phase::Ended) => Err(BlocksError::Ended),
        (Ok(_), _) => {
            state.phase = Phase::Done;
            made
        }
        (Err(_), _) => {
            state.phase = before;
            made
        }
    };
    drop(state);
    upload.changed.notify_waiters();
    outcome
}

/// What was sent of the body goes with it.
fn with_sent(upload: &Upload, plan: &Plan, spool: Spool) -> Spool {
    let sender = upload.take_sender();
    match sender.and_then(|sender| sender.close(&plan.segments)) {
        Some(sent) => spool.with_sent(sent),
        None => spool,
    }
}

/// The body in order.
#[derive(Debug)]
struct Plan {
    size: u64,
    segments: Vec<Segment>,
}

/// Nothing changes from now on. Answers the phase before.
async fn seal(upload: &Arc<Upload>, size: u64) -> Result<(Plan, Phase), BlocksError> {
    let (segments, before) = loop {
        upload
            .wait(|state| (state.phase != Phase::Sealed).then_some(()))
            .await;
        let sealed = blocking(upload, move |upload| {
            // No record is half way.
            let _ordered = upload.log();
            let mut state = upload.state();
            match state.phase {
                Phase::Ended => Err(BlocksError::Ended),
                Phase::Sealed => Ok(None),
                before => {
                    let segments = state.plan(size)?;
                    state.phase = Phase::Sealed;
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
    Ok((Plan { size, segments }, before))
}

async fn make(upload: &Arc<Upload>, plan: Arc<Plan>) -> Result<Spool, BlocksError> {
    if plan.size <= MAX_MEMORY_SPOOL_BYTES as u64 {
        return in_memory(upload, plan).await;
    }
    let back = |lent: Lent| (lent != Lent::Returning).then_some(lent);
    let lent = upload.wait(|state| back(state.lent)).await;
    if lent == Lent::No
        && !upload.state().frozen
        && plan.fits_in_place()
        && let Some(spool) = in_place(upload, &plan).await?
    {
        return Ok(spool);
    }
    copied(upload, plan).await
}

impl Plan {
    fn moved(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| !segment.is_in_place())
    }

    /// Whether each block that is elsewhere has its place free, so that a crash on the way costs nothing.
    fn fits_in_place(&self) -> bool {
        let mut needed = Intervals::default();
        let extents = self.segments.iter().map(|segment| &segment.block.extent);
        extents
            .filter(|extent| extent.file == Which::Data)
            .for_each(|extent| needed.insert(extent.range()));
        !self
            .moved()
            .any(|segment| needed.overlaps(&(segment.start..segment.end())))
    }

    /// Blocking: gives the bytes of some segments to `sink`, checked, each with its offset in the body.
    fn read<'a>(
        &self,
        upload: &Upload,
        segments: impl Iterator<Item = &'a Segment>,
        mut sink: impl FnMut(&'a Segment, u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut files: HashMap<Which, File> = HashMap::new();
        for segment in segments {
            let which = segment.block.extent.file;
            let file = match files.entry(which) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(new) => new.insert(File::open(upload.path(which))?),
            };
            let mut at = segment.start;
            let range = segment.skip..segment.skip + segment.length;
            segment.block.read(file, range, |bytes| {
                sink(segment, at, bytes)?;
                at += bytes.len() as u64;
                Ok(())
            })?;
        }
        Ok(())
    }
}

async fn in_memory(upload: &Arc<Upload>, plan: Arc<Plan>) -> Result<Spool, BlocksError> {
    let budget = upload.dir.spools().budget();
    let room = Arc::new(budget.reserve(room_for(plan.size), Ask::Growth).await?);
    let bytes = match plan.segments.is_empty() {
        true => Bytes::new(),
        false => {
            blocking(upload, move |upload| {
                let mut bytes = BytesMut::with_capacity(plan.size as usize);
                let read = plan.read(upload, plan.segments.iter(), |_, _, piece| {
                    bytes.extend_from_slice(piece);
                    Ok(())
                });
                read.map_err(|error| failed("reading an upload", error))?;
                Ok(bytes.freeze())
            })
            .await?
        }
    };
    let sums = Checksums::of(&bytes);
    Ok(Spool::new(SpoolBody::Memory(vec![bytes]), sums, room))
}

/// Lends the data file; `None` if it cannot be lent.
async fn in_place(upload: &Arc<Upload>, plan: &Arc<Plan>) -> Result<Option<Spool>, BlocksError> {
    let room = match plan.moved().map(|segment| most_growth(segment.length)).sum() {
        0 => upload.room.split(0),
        growth => upload.dir.spools().budget().reserve(growth, Ask::Growth).await?,
    };
    let plan = Arc::clone(plan);
    blocking(upload, move |upload| {
        let file = upload.open(Which::Data)?;
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
        Ok(lend(upload, file, sums))
    })
    .await
}

/// Blocking: a second name for the data file, with its part of the room.
fn lend(upload: &Arc<Upload>, file: File, sums: Checksums) -> Option<Spool> {
    let room = {
        let mut state = upload.state();
        state.lent = Lent::Out;
        Arc::new(upload.room.split(state.data.cost()))
    };
    let spools = upload.dir.spools();
    let lender = Arc::clone(upload) as Arc<dyn Lender>;
    match Temp::lend(spools, &room, (&upload.path(Which::Data), file), lender) {
        Ok(temp) => Some(Spool::new(SpoolBody::File(Arc::new(temp)), sums, room)),
        Err(error) => {
            tracing::debug!(%error, "a file of an upload cannot have a second name; it is copied");
            upload.returned(&room);
            None
        }
    }
}

/// Blocking: copies what is elsewhere to its place, and makes the checksums of the body.
fn bring_in_place(
    upload: &Arc<Upload>,
    plan: &Plan,
    file: &File,
    room: &Reservation,
) -> Result<Checksums, BlocksError> {
    let summed = copy_and_sum(upload, plan, file);
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
            Err(refused("putting an upload together", error, plan.size))
        }
    };
    match state.cost().checked_sub(before) {
        Some(grown) => room.move_to(&upload.room, grown),
        None => upload.room.release(before - state.cost()),
    }
    outcome
}

/// Blocking: the checksums of the body in `file`, from those of its blocks as far as these tell. The bytes of
/// all others are read, and held against them.
fn copy_and_sum(upload: &Upload, plan: &Plan, file: &File) -> io::Result<Checksums> {
    let mut moved: HashMap<u64, PartSums> = HashMap::new();
    plan.read(upload, plan.moved(), |segment, at, bytes| {
        sys::write_all_vectored_at(file, &[bytes], at)?;
        let sums = moved.entry(segment.start);
        sums.or_insert_with(|| PartSums::new(segment.start % Checksums::BLOCK))
            .update(bytes);
        Ok(())
    })?;
    let mut joined = Joined::new(file);
    for segment in &plan.segments {
        let moved = moved.remove(&segment.start).map(|sums| sums.sums());
        let sums = moved.as_ref().unwrap_or(&segment.block.sums);
        let mut at = segment.start;
        for sum in sums {
            let end = segment.end().min(at - at % Checksums::BLOCK + Checksums::BLOCK);
            joined.push(end - at, *sum)?;
            at = end;
        }
    }
    joined.finish(plan.size)
}

/// A body of its own, in order.
async fn copied(upload: &Arc<Upload>, plan: Arc<Plan>) -> Result<Spool, BlocksError> {
    let budget = upload.dir.spools().budget();
    let room = Arc::new(budget.reserve(room_for(plan.size), Ask::Growth).await?);
    blocking(upload, move |upload| {
        let copy = || {
            let temp = Temp::create(upload.dir.spools(), &room)?;
            let mut summer = Summer::default();
            plan.read(upload, plan.segments.iter(), |_, at, bytes| {
                summer.update(bytes);
                sys::write_all_vectored_at(temp.file(), &[bytes], at)
            })?;
            Ok((temp, summer.finish()))
        };
        let (temp, sums) = copy().map_err(|error| refused("copying an upload", error, plan.size))?;
        Ok(Spool::new(
            SpoolBody::File(Arc::new(temp)),
            sums,
            Arc::clone(&room),
        ))
    })
    .await
}

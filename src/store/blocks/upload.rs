//! What all handles of one upload share.
//!
//! Two locks. The one of the state is short and never held across a call to the operating system. The one of
//! the log orders the records: blocking threads alone take it, across one write to the log, and always before
//! the one of the state.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::ahead::Sender;
use super::block::{Extent, Which};
use super::claim::Claim;
use super::dir::BlockDir;
use super::log::{self, Record};
use super::state::{Lent, Phase, State};
use super::{BlocksError, Place};
use crate::store::budget::{Reservation, write_error};
use crate::store::spool::Lender;
use crate::store::{Ahead, Error};
use crate::sys;

/// See the module.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: u64,
    pub(super) note: Box<[u8]>,
    pub(super) dir: BlockDir,
    /// Room for all that is complete; what is on its way has its own.
    pub(super) room: Reservation,
    /// Wakes who waits for a change of phase, for hops to end, or for a lent file to come back.
    pub(super) changed: Notify,
    state: Mutex<State>,
    log: Mutex<()>,
    sender: Mutex<Option<Sender>>,
    began: Instant,
    /// Milliseconds after `began`.
    traffic: AtomicU64,
}

/// Work in the blocking pool; the body is not put together before it has ended.
#[derive(Debug)]
pub(super) struct Hop {
    upload: Arc<Upload>,
    _pass: TaskTrackerToken,
}

impl Hop {
    /// `None` if the server stops: another process may open the folder soon.
    pub(super) fn begin(upload: &Arc<Upload>, state: &mut State) -> Option<Self> {
        let pass = upload.dir.tasks().enter()?;
        state.hops += 1;
        Some(Self {
            upload: Arc::clone(upload),
            _pass: pass,
        })
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.upload.state().hops -= 1;
        self.upload.changed.notify_waiters();
    }
}

impl Upload {
    pub(super) fn new(id: u64, note: Box<[u8]>, dir: BlockDir, room: Reservation, state: State) -> Arc<Self> {
        Arc::new(Self {
            id,
            note,
            dir,
            room,
            changed: Notify::new(),
            state: Mutex::new(state),
            log: Mutex::default(),
            sender: Mutex::default(),
            began: Instant::now(),
            traffic: AtomicU64::new(0),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For blocking threads only. See the module.
    pub(super) fn log(&self) -> MutexGuard<'_, ()> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sender(&self) -> MutexGuard<'_, Option<Sender>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Blocks::send_ahead`].
    pub(super) fn send_ahead(&self, ahead: Ahead) {
        *self.sender() = Some(Sender::new(ahead, self.path(Which::Data)));
    }

    /// Bytes of a block were written to a file.
    pub(super) fn grew(&self, file: Which, bytes: std::ops::Range<u64>) {
        if file == Which::Data
            && let Some(sender) = &*self.sender()
        {
            sender.grew(bytes);
        }
    }

    /// Whoever sends parts of the body. It hears of nothing any more.
    pub(super) fn take_sender(&self) -> Option<Sender> {
        self.sender().take()
    }

    pub(super) fn path(&self, file: Which) -> PathBuf {
        self.dir.path(self.id, file)
    }

    /// Bytes of this upload passed.
    pub(super) fn touch(&self) {
        let since = self.began.elapsed().as_millis() as u64;
        self.traffic.store(since, Ordering::Relaxed);
    }

    pub(super) fn last_traffic(&self) -> Instant {
        self.began + Duration::from_millis(self.traffic.load(Ordering::Relaxed))
    }

    /// Begins a hop of whoever began in this epoch.
    ///
    /// # Errors
    /// [`BlocksError::Ended`], [`Error::Stopping`].
    pub(super) fn enter(self: &Arc<Self>, epoch: u32) -> Result<Hop, BlocksError> {
        let mut state = self.state();
        state.check_writer(epoch)?;
        Hop::begin(self, &mut state).ok_or(BlocksError::Store(Error::Stopping))
    }

    /// Blocking: opens a file for reading and writing; makes it if it is not there.
    pub(super) fn open(&self, file: Which) -> Result<File, BlocksError> {
        // Or else it could be made after it was removed for good.
        let _log = self.log();
        if self.state().phase == Phase::Ended {
            return Err(BlocksError::Ended);
        }
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(file));
        opened.map_err(|error| failed("opening a file of an upload", error))
    }

    /// Blocking: writes a record behind the last one. What an attempt that failed has left is overwritten.
    fn append(&self, at: u64, record: &[u8]) -> Result<(), BlocksError> {
        let write = || {
            let file = File::options().write(true).open(self.path(Which::Log))?;
            sys::write_all_vectored_at(&file, &[record], at)
        };
        write().map_err(|error| refused("writing the log of an upload", error, record.len() as u64))
    }

    /// Blocking: a block is on the volume; now it counts. `bytes`: the block itself if it goes into the log.
    pub(super) fn commit(
        self: &Arc<Self>,
        place: &Place,
        claim: &mut Claim,
        sums: &[u64],
        bytes: &[u8],
    ) -> Result<(), BlocksError> {
        let mut extent = claim.extent().clone();
        let ordered = self.log();
        let at = {
            let state = self.state();
            state.check_writer(claim.epoch())?;
            if state.has(place, &extent, sums) {
                // The answer to the first one was lost. The claim removes the second one.
                return Ok(());
            }
            state.check_records()?;
            state.log
        };
        let record = block_record(place, &extent, sums).encode(bytes);
        self.append(at, &record)?;
        let length = record.len() as u64;
        if extent.file == Which::Log {
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
        if extent.file == Which::Data
            && let Some(sender) = &*self.sender()
        {
            sender.arrived(extent.at, number);
        }
        drop(ordered);
        self.free(unneeded.into_iter().map(|block| block.extent.clone()));
        Ok(())
    }

    /// Blocking: the order of the blocks. `room` is what it may need.
    pub(super) fn arrange(
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
            if state.is_arranged(&numbers) {
                return Ok(size);
            }
            state.check_records()?;
            (numbers, size, state.log)
        };
        let record = Record::List(numbers.clone()).encode(&[]);
        self.append(at, &record)?;
        let unneeded = {
            let mut state = self.state();
            let before = state.cost();
            let unneeded = state
                .arrange(&numbers, at + record.len() as u64)
                .unwrap_or_default();
            room.move_to(&self.room, state.cost() - before);
            unneeded
        };
        drop(ordered);
        self.free(unneeded.into_iter().map(|block| block.extent.clone()));
        Ok(size)
    }

    /// Blocking, as part of a hop: the bytes that nobody needs leave the volume.
    pub(super) fn free(&self, extents: impl Iterator<Item = Extent>) {
        let mut open: [Option<io::Result<File>>; 2] = [None, None];
        for extent in extents {
            let slot = match extent.file {
                Which::Log => continue,
                Which::Data if self.state().frozen => continue,
                Which::Data => &mut open[0],
                Which::More => &mut open[1],
            };
            let path = self.path(extent.file);
            let file = slot.get_or_insert_with(|| File::options().write(true).open(path));
            let punched = file
                .as_ref()
                .is_ok_and(|file| sys::punch_hole(file, extent.range()).is_ok());
            self.change(None, |state| {
                if let Some(area) = state.area(extent.file) {
                    area.release(&extent.range(), punched);
                }
            });
        }
    }

    /// Changes the areas. What they cost more is taken from `room`, what they cost less is given back.
    pub(super) fn change(&self, room: Option<&Reservation>, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.phase == Phase::Ended {
            return;
        }
        let before = state.cost();
        change(&mut state);
        let after = state.cost();
        match (after.checked_sub(before), room) {
            (None, _) => self.room.release(before - after),
            (Some(grown), Some(room)) => room.move_to(&self.room, grown),
            (Some(_), None) => {}
        }
    }

    /// Blocking: removes the files and gives back their room.
    pub(super) fn remove(&self) {
        let _ordered = self.log();
        self.state().phase = Phase::Ended;
        let mut stays = 0;
        for file in Which::ALL {
            match std::fs::remove_file(self.path(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "a file of an upload cannot be removed; the next start tries again");
                    stays += 1;
                }
                _ => {}
            }
        }
        // A lent file may come back at this moment.
        let _state = self.state();
        match stays {
            0 => self.room.release(self.room.bytes()),
            _ => self.room.settle(self.room.bytes()),
        }
        self.changed.notify_waiters();
    }

    /// Waits until `ready` answers something. Asked again after each change.
    pub(super) async fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let answer = ready(&mut self.state());
            match answer {
                Some(answer) => return answer,
                None => changed.await,
            }
        }
    }
}

fn block_record(place: &Place, extent: &Extent, sums: &[u64]) -> Record {
    Record::Block {
        place: place.clone(),
        extent: extent.clone(),
        sums: sums.into(),
    }
}

impl Lender for Upload {
    fn leaving(&self) {
        self.state().lent = Lent::Returning;
    }

    fn returned(&self, room: &Reservation) {
        let mut state = self.state();
        state.lent = Lent::No;
        if state.phase != Phase::Ended {
            room.move_to(&self.room, room.bytes());
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// An error of the operating system.
pub(super) fn failed(operation: &'static str, error: io::Error) -> BlocksError {
    BlocksError::Store(Error::io(operation, error))
}

/// The same of a write of `length` bytes.
pub(super) fn refused(operation: &'static str, error: io::Error, length: u64) -> BlocksError {
    BlocksError::Store(write_error(operation, error, length))
}

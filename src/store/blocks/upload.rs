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

use super::BlocksError;
use super::ahead::PartSender;
use super::block::{Extent, UploadFile};
use super::dir::BlockDir;
use super::state::{LinkState, UploadPhase, UploadState};
use crate::store::budget::{FileHold, OpenFile, Reservation, RoomWatch, write_error};
use crate::store::spool::{LinkOwner, SpoolDir};
use crate::store::{EarlyUpload, Error};
use crate::sys;

/// See the module.
#[derive(Debug)]
pub(super) struct BlockUpload {
    pub(super) id: u64,
    pub(super) note: Box<[u8]>,
    pub(super) dir: BlockDir,
    /// Where room for its tenant is taken.
    pub(super) spools: SpoolDir,
    /// Room for all that is complete; what is on its way has its own.
    pub(super) room: Reservation,
    pub(super) watch: RoomWatch,
    /// The handles of the data file and of the one beside it.
    holds: [Arc<FileHold>; 2],
    /// Wakes tasks that wait for a change of phase, for hops to end, or for the second link to go.
    pub(super) changed: Notify,
    state: Mutex<UploadState>,
    log: Mutex<()>,
    sender: Mutex<Option<PartSender>>,
    began: Instant,
    /// Milliseconds after `began`.
    traffic: AtomicU64,
}

/// Work in the blocking pool; the body is not put together before it has ended.
#[derive(Debug)]
pub(super) struct UploadHop {
    upload: Arc<BlockUpload>,
    _pass: TaskTrackerToken,
}

impl UploadHop {
    /// `None` if the server stops: another process may open the folder soon.
    pub(super) fn begin(upload: &Arc<BlockUpload>, state: &mut UploadState) -> Option<Self> {
        let pass = upload.dir.tasks().enter()?;
        state.hops += 1;
        Some(Self {
            upload: Arc::clone(upload),
            _pass: pass,
        })
    }
}

impl Drop for UploadHop {
    fn drop(&mut self) {
        self.upload.state().hops -= 1;
        self.upload.changed.notify_waiters();
    }
}

impl BlockUpload {
    pub(super) fn new(
        id: u64,
        note: Box<[u8]>,
        dir: BlockDir,
        (spools, room): (SpoolDir, Reservation),
        state: UploadState,
    ) -> Arc<Self> {
        let hold = || FileHold::new(dir.spools().budget());
        Arc::new(Self {
            id,
            note,
            holds: [hold(), hold()],
            dir,
            spools,
            watch: room.may_be_revoked(),
            room,
            changed: Notify::new(),
            state: Mutex::new(state),
            log: Mutex::default(),
            sender: Mutex::default(),
            began: Instant::now(),
            traffic: AtomicU64::new(0),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, UploadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For blocking threads only. See the module.
    pub(super) fn log(&self) -> MutexGuard<'_, ()> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sender(&self) -> MutexGuard<'_, Option<PartSender>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Blocks::send_early`].
    pub(super) fn send_early(&self, upload: EarlyUpload) {
        let (path, hold) = (self.path(UploadFile::Data), Arc::clone(&self.holds[0]));
        *self.sender() = Some(PartSender::new(upload, path, hold));
    }

    /// Bytes of a block were written to a file.
    pub(super) fn grew(&self, file: UploadFile, bytes: std::ops::Range<u64>) {
        if file == UploadFile::Data
            && let Some(sender) = &*self.sender()
        {
            sender.grew(bytes);
        }
    }

    /// Takes out the sender of parts, which hears of no further bytes.
    pub(super) fn take_sender(&self) -> Option<PartSender> {
        self.sender().take()
    }

    pub(super) fn path(&self, file: UploadFile) -> PathBuf {
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

    /// Begins a hop of a writer that started in this epoch.
    ///
    /// # Errors
    /// [`BlocksError::Ended`], [`Error::Stopping`].
    pub(super) fn enter(self: &Arc<Self>, epoch: u32) -> Result<UploadHop, BlocksError> {
        let mut state = self.state();
        state.check_writer(epoch)?;
        UploadHop::begin(self, &mut state).ok_or(BlocksError::Store(Error::Stopping))
    }

    /// Blocking: opens the data file, or the one beside it, for reading and writing; makes it if it is not there, and
    /// `length` bytes long if it is shorter. A file that grows with each write takes more room than it has bytes on
    /// some file systems, so it gets its length before.
    pub(super) fn open(&self, file: UploadFile, length: u64) -> Result<OpenFile, BlocksError> {
        // Or else it could be made after it was removed for good.
        let _log = self.log();
        if self.state().phase == UploadPhase::Ended {
            return Err(BlocksError::Ended);
        }
        let path = self.path(file);
        let hold = match file {
            UploadFile::More => &self.holds[1],
            _ => &self.holds[0],
        };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        // Under the lock of the log: nobody cuts what another one writes.
        let opened = hold.open(|| options.open(path)).and_then(|file| {
            if file.metadata()?.len() < length {
                file.set_len(length)?;
            }
            Ok(file)
        });
        opened.map_err(|error| failed("opening a file of an upload", error))
    }

    /// Blocking, as part of a hop: bytes of blocks that are not needed leave the volume.
    pub(super) fn free(&self, extents: impl Iterator<Item = Extent>) {
        let mut open: [Option<io::Result<File>>; 2] = [None, None];
        for extent in extents {
            let slot = match extent.file {
                UploadFile::Log => continue,
                UploadFile::Data if self.state().frozen => continue,
                UploadFile::Data => &mut open[0],
                UploadFile::More => &mut open[1],
            };
            let path = self.path(extent.file);
            let file = slot.get_or_insert_with(|| File::options().write(true).open(path));
            let punch = |file: &File| sys::punch_hole(file, extent.range()).is_ok();
            let punched = file.as_ref().is_ok_and(punch);
            self.change(None, |state| {
                if let Some(usage) = state.usage(extent.file) {
                    usage.release(&extent.range(), punched);
                }
            });
        }
    }

    /// Changes the areas. What they cost more is taken from `room`, what they cost less is given back.
    pub(super) fn change(&self, room: Option<&Reservation>, change: impl FnOnce(&mut UploadState)) {
        let mut state = self.state();
        if state.phase == UploadPhase::Ended {
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
        self.state().phase = UploadPhase::Ended;
        let mut stays = 0;
        for &file in UploadFile::ALL {
            if let Err(error) = sys::if_exists(std::fs::remove_file(self.path(file))) {
                tracing::warn!(%error, "a file of an upload cannot be removed; the next start tries again");
                stays += 1;
            }
        }
        // The second link may be removed at this moment.
        let state = self.state();
        // Writers that wait for their clients have them open.
        if state.link == LinkState::None {
            self.holds[0].unlinked(state.data.cost());
        }
        self.holds[1].unlinked(state.more.cost());
        match stays {
            0 => self.room.release(self.room.bytes()),
            _ => self.room.settle(self.room.bytes()),
        }
        self.changed.notify_waiters();
    }

    /// Waits until `ready` answers something. Asked again after each change.
    pub(super) async fn wait<T>(&self, mut ready: impl FnMut(&mut UploadState) -> Option<T>) -> T {
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

impl LinkOwner for BlockUpload {
    fn unlinking(&self) {
        self.state().link = LinkState::Unlinking;
    }

    fn unlinked(&self, room: &Reservation) {
        let mut state = self.state();
        state.link = LinkState::None;
        if state.phase != UploadPhase::Ended {
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

/// Runs a part of an upload's work in the blocking pool; not once the server stops.
pub(super) async fn blocking<T: Send + 'static>(
    upload: &Arc<BlockUpload>,
    work: impl FnOnce(&Arc<BlockUpload>) -> Result<T, BlocksError> + Send + 'static,
) -> Result<T, BlocksError> {
    let (owned, tasks) = (Arc::clone(upload), upload.dir.tasks());
    let pass = tasks.enter().ok_or(BlocksError::Store(Error::Stopping))?;
    let hop = tasks.spawn_blocking(move || {
        let _pass = pass;
        work(&owned)
    });
    hop.await.map_err(|_| BlocksError::Store(Error::Stopping))?
}

//! Files that are unlinked and still open: the volume holds their bytes until the last handle is closed, and `du`
//! does not count them.
//!
//! All handles that readers have of one file share a [`FileHold`]. Whoever removes the last name of a file says so; its bytes are
//! *held* from then on, until the last handle goes. Held bytes and all others together never exceed the limit by more
//! than [`Budget::slack`]. When they stand in the way of somebody who waits, the readers that hardly read are ended:
//! those of pieces here, those of connections by the connections, which ask [`FileHolder::is_wanted`].

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::{Budget, BudgetState};
use crate::store::content::{FileHolder, SlowReader};

/// How long the last close of an evicted file may take: longer ones are readers.
const MAX_CLOSE_WAIT: Duration = Duration::from_millis(200);

/// Slow readers are ended within some 11 s; after this, entries go for those who wait.
const MAX_PRESS_WAIT: Duration = Duration::from_secs(14);

/// All handles of one file. See the module.
#[derive(Debug)]
pub(crate) struct FileHold {
    budget: Arc<Budget>,
    /// Bytes of it are held.
    held: AtomicBool,
    state: Mutex<HoldState>,
}

#[derive(Debug, Default)]
struct HoldState {
    handles: usize,
    /// Bytes on the volume, once the file has no name.
    unlinked: u64,
    readers: Vec<Weak<dyn SlowReader>>,
}

impl FileHold {
    /// Of a file without handles.
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            held: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// Blocking: one more handle. It counts before the file is opened: who unlinks it meanwhile knows of it.
    pub(crate) fn open(self: &Arc<Self>, open: impl FnOnce() -> io::Result<File>) -> io::Result<OpenFile> {
        self.state().handles += 1;
        let mut handle = OpenFile {
            file: None,
            hold: Arc::clone(self),
        };
        handle.file = Some(open()?);
        Ok(handle)
    }

    /// The file has lost its last name; it takes `bytes` on the volume. Answers whether they stay there for now.
    /// Call it before these bytes are free in the account.
    pub(crate) fn unlinked(self: &Arc<Self>, bytes: u64) -> bool {
        let mut state = self.state();
        if state.handles == 0 || state.unlinked > 0 || bytes == 0 {
            return false;
        }
        state.unlinked = bytes;
        self.held.store(true, Relaxed);
        // Under this lock, so that the last handle finds it.
        self.budget.holds(self, bytes);
        true
    }

    /// Ends the readers that took hardly anything since they were looked at for the first time.
    pub(super) fn end_slow_readers(&self) {
        let readers: Vec<_> = self.state().readers.iter().filter_map(Weak::upgrade).collect();
        for reader in readers {
            reader.end_if_slow();
        }
    }

    fn closed(&self) {
        let mut state = self.state();
        state.handles -= 1;
        if state.handles > 0 {
            return;
        }
        let bytes = std::mem::take(&mut state.unlinked);
        self.held.store(false, Relaxed);
        drop(state);
        if bytes > 0 {
            self.budget.let_go(bytes);
        }
    }

    fn state(&self) -> MutexGuard<'_, HoldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileHolder for FileHold {
    fn is_wanted(&self) -> bool {
        self.held.load(Relaxed) && self.budget.is_pressed()
    }

    fn add_reader(&self, reader: Weak<dyn SlowReader>) {
        let mut state = self.state();
        state.readers.retain(|reader| reader.strong_count() > 0);
        state.readers.push(reader);
    }
}

/// An open file that is counted while it has no name. See the module.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// `None` only while it is opened or dropped.
    file: Option<File>,
    hold: Arc<FileHold>,
}

impl OpenFile {
    /// What all handles of this file share.
    pub(crate) fn hold(&self) -> &Arc<FileHold> {
        &self.hold
    }
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        match &self.file {
            Some(file) => file,
            None => unreachable!("only `drop` takes it"),
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // The close first: it is what frees the room.
        drop(self.file.take());
        self.hold.closed();
    }
}

impl Budget {
    /// How many bytes of unlinked files the volume may hold beyond the limit: a twentieth of it, at most 1 GiB.
    pub(crate) fn slack(&self) -> u64 {
        (self.limit / 20).min(1 << 30)
    }

    /// Bytes of unlinked files that are still open.
    pub(crate) fn held(&self) -> u64 {
        self.lock().held
    }

    /// Whether the volume may hold more of unlinked files. Waits a moment for those that are being closed.
    pub(crate) async fn is_let_go(&self) -> bool {
        let until = tokio::time::Instant::now() + MAX_CLOSE_WAIT;
        loop {
            let mut let_go = std::pin::pin!(self.let_go.notified());
            let_go.as_mut().enable();
            if self.held() <= self.slack() {
                return true;
            }
            if tokio::time::timeout_at(until, let_go).await.is_err() {
                return false;
            }
        }
    }

    /// Whether somebody waits for bytes that unlinked files hold.
    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed.load(Relaxed)
    }

    /// See [`BudgetState::is_pressed_for_long`].
    pub(crate) fn is_pressed_for_long(&self) -> bool {
        self.lock().is_pressed_for_long()
    }

    /// Ends the readers of unlinked files that hardly read, if somebody waits for what they hold.
    pub(crate) fn press(&self) {
        if !self.is_pressed() {
            return;
        }
        let holds: Vec<_> = self.lock().holds.iter().filter_map(Weak::upgrade).collect();
        holds.iter().for_each(|hold| hold.end_slow_readers());
    }

    fn holds(&self, hold: &Arc<FileHold>, bytes: u64) {
        let mut state = self.lock();
        state.held += bytes;
        state.holds.retain(|hold| hold.strong_count() > 0);
        state.holds.push(Arc::downgrade(hold));
    }

    fn let_go(self: &Arc<Self>, bytes: u64) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(bytes);
        state.releases += 1;
        drop(state);
        self.let_go.notify_waiters();
        self.grant();
    }
}

impl BudgetState {
    /// Whether somebody has waited so long for what unlinked files hold that other entries go instead: those who still
    /// hold it read well.
    pub(super) fn is_pressed_for_long(&self) -> bool {
        let since = self.pressed_since;
        since.is_some_and(|since| since.elapsed() >= MAX_PRESS_WAIT)
    }
}

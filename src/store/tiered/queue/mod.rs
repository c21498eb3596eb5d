//! Keys whose tiers do not agree yet, and what has to be done about each.
//!
//! Each has a record on the disk ([`super::record`]), so it survives a crash. The queue is in memory, rebuilt from the
//! records. There is one job for a key: a later change takes the place of the former one. What waits for the remote
//! tier takes room in an account of its own, of bytes and of keys: room is taken before the change begins.

mod line;
mod room;
mod run;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub(super) use room::{Claim, QueueRoom};
pub(super) use run::start;

use self::line::Line;
use self::room::Usage;
use super::record::{Former, Intent};
use crate::store::{Digest, ETag, StoreKey};

/// So many tickets of jobs whose place was taken may stand in a line, beside twice the jobs there are.
const MAX_STALE: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct UploadQueue {
    state: Mutex<QueueState>,
    /// Bytes that may wait.
    limit: u64,
    to_remote: Notify,
    to_disk: Notify,
    /// How many keys have a local copy that must not be served. A hit looks at nothing else while it is 0.
    hidden: AtomicUsize,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: HashMap<Digest, QueuedChange>,
    /// Jobs for the remote tier, and those for the disk alone.
    remote: Line,
    disk: Line,
    last: u64,
    usage: Usage,
}

impl QueueState {
    /// The line for such jobs, and the jobs.
    fn line(&mut self, is_local: bool) -> (&mut Line, &mut HashMap<Digest, QueuedChange>) {
        let line = if is_local {
            &mut self.disk
        } else {
            &mut self.remote
        };
        (line, &mut self.jobs)
    }
}

/// What has to be done about one key.
#[derive(Debug, Clone)]
pub(super) struct QueuedChange {
    pub(super) key: StoreKey,
    pub(super) kind: ChangeKind,
    pub(super) since: SystemTime,
    /// Whether it may have been done before, by an earlier run or by an attempt whose answer was lost, or another
    /// server has changed the key since.
    pub(super) repeated: bool,
    /// Tells a job from a later one of the same key.
    number: u64,
    tries: u32,
    /// What it takes of the account; 0 if it does not wait for the remote tier.
    room: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChangeKind {
    /// The version on the disk goes to the remote tier.
    Upload {
        /// Whether it must not replace another server's.
        first: bool,
        /// Length of the body in bytes.
        size: u64,
        /// The tag, if it is known.
        etag: Option<ETag>,
    },
    /// An earlier run was about to put a version on the disk. Whether it did was not looked at yet.
    Unresolved(Intent),
    /// The entry goes from both tiers.
    Delete,
    /// The local copy must go: the remote tier may have another version.
    Drop,
    /// Both tiers agree, only the record is still there.
    Clear,
}

impl ChangeKind {
    /// Whether the remote tier does not have the last change of the key.
    fn waits(&self) -> bool {
        matches!(self, Self::Upload { .. } | Self::Unresolved(_) | Self::Delete)
    }

    /// Whether the local copy must not be served.
    fn hides(&self) -> bool {
        matches!(self, Self::Delete | Self::Drop)
    }

    /// Whether it sends a version with this tag.
    fn is_upload_of(&self, tag: &ETag) -> bool {
        matches!(self, Self::Upload { etag: Some(etag), .. } if etag == tag)
    }

    /// Whether it is done without the remote tier.
    fn is_local(&self) -> bool {
        matches!(self, Self::Unresolved(_) | Self::Drop | Self::Clear)
    }
}

impl UploadQueue {
    /// A queue in which `limit` bytes may wait.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            state: Mutex::default(),
            limit,
            to_remote: Notify::new(),
            to_disk: Notify::new(),
            hidden: AtomicUsize::new(0),
        }
    }

    /// Whether the remote tier does not have the last change of this key yet.
    pub(super) fn is_waiting(&self, digest: &Digest) -> bool {
        self.lock().jobs.get(digest).is_some_and(|job| job.kind.waits())
    }

    /// Whether the local copy of this key must not be served.
    pub(super) fn hides(&self, digest: &Digest) -> bool {
        self.hidden.load(Ordering::Acquire) > 0
            && self.lock().jobs.get(digest).is_some_and(|job| job.kind.hides())
    }

    /// What has to be done about this key. Without a job it has no record.
    pub(super) fn job(&self, digest: &Digest) -> Option<QueuedChange> {
        self.lock().jobs.get(digest).cloned()
    }

    /// What waits about this key. [`ChangeKind::Unresolved`] must be resolved before.
    pub(super) fn former(&self, digest: &Digest) -> Former {
        match self.lock().jobs.get(digest).map(|job| &job.kind) {
            Some(ChangeKind::Upload { first, size, .. }) => Former::Upload {
                first: *first,
                size: *size,
            },
            Some(ChangeKind::Delete) => Former::Delete,
            _ => Former::Nothing,
        }
    }

    /// Adds a change that was answered, or is about to be, in the room that was taken for it.
    pub(super) fn add(&self, key: &StoreKey, kind: ChangeKind, room: QueueRoom<'_>) {
        let bytes = room.keep();
        self.insert(key, kind, SystemTime::now(), bytes, false);
    }

    /// Adds what an earlier run left, whether or not there is room.
    pub(super) fn add_left(&self, key: &StoreKey, kind: ChangeKind, since: SystemTime) {
        let bytes = room::bytes_of(&kind);
        self.lock().usage.force(key.asker(), bytes);
        self.insert(key, kind, since, bytes, true);
    }

    /// It is known now what an earlier run meant.
    pub(super) fn resolve(&self, job: &QueuedChange, kind: ChangeKind) {
        self.add_left(&job.key, kind, job.since);
    }

    /// Adds work for the disk alone.
    pub(super) fn add_local(&self, key: &StoreKey, kind: ChangeKind) {
        self.insert(key, kind, SystemTime::now(), 0, false);
    }

    /// `room` bytes are in the account already, with what the former job of the key takes.
    fn insert(&self, key: &StoreKey, kind: ChangeKind, since: SystemTime, room: u64, repeated: bool) {
        let digest = *key.digest();
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        let is_local = kind.is_local();
        self.hidden.fetch_add(kind.hides().into(), Ordering::Release);
        let job = QueuedChange {
            key: key.clone(),
            kind,
            since,
            repeated,
            number,
            tries: 0,
            room,
        };
        let former = state.jobs.insert(digest, job);
        self.forget(&mut state, former);
        let (line, jobs) = state.line(is_local);
        line.push(key.asker(), (digest, number));
        if line.ready() > 2 * jobs.len() + MAX_STALE {
            line.keep(|(digest, number)| jobs.get(digest).is_some_and(|job| job.number == *number));
        }
        drop(state);
        self.notify(is_local);
    }

    /// Both tiers agree, and there is no record any more.
    pub(super) fn settle(&self, digest: &Digest) {
        let mut state = self.lock();
        let former = state.jobs.remove(digest);
        self.forget(&mut state, former);
    }

    fn forget(&self, state: &mut QueueState, former: Option<QueuedChange>) {
        let Some(former) = former else { return };
        self.hidden
            .fetch_sub(former.kind.hides().into(), Ordering::Release);
        state.usage.give_back(former.key.asker(), former.room);
    }

    /// How many changes wait, and since when the oldest does.
    pub(super) fn figures(&self) -> (usize, Option<SystemTime>) {
        let state = self.lock();
        let waiting = || state.jobs.values().filter(|job| job.kind.waits());
        (waiting().count(), waiting().map(|job| job.since).min())
    }

    /// Takes the next job out of its line, not out of the queue.
    async fn next(&self, is_local: bool) -> QueuedChange {
        loop {
            let due = {
                let mut state = self.lock();
                let (line, jobs) = state.line(is_local);
                let mut found = None;
                while let Some((digest, number)) = line.pop(Instant::now()) {
                    if let Some(job) = jobs.get(&digest).filter(|job| job.number == number) {
                        found = Some(job.clone());
                        break;
                    }
                }
                if let Some(job) = found {
                    // One wake-up may stand for several jobs.
                    self.notify(is_local);
                    return job;
                }
                line.due()
            };
            let news = self.news(is_local).notified();
            match due {
                Some(due) => _ = timeout_at(due, news).await,
                None => news.await,
            }
        }
    }

    /// A job that could not be done is tried again after `pause`, unless a later change has taken its place.
    fn retry(&self, failed: &QueuedChange, pause: impl FnOnce(u32) -> Duration, in_doubt: bool) {
        let mut state = self.lock();
        let digest = *failed.key.digest();
        let job = state.jobs.get_mut(&digest);
        let Some(job) = job.filter(|job| job.number == failed.number) else {
            return;
        };
        let due = Instant::now() + pause(job.tries);
        job.tries = job.tries.saturating_add(1);
        job.repeated |= in_doubt;
        let is_local = job.kind.is_local();
        let (line, _) = state.line(is_local);
        line.push_later((digest, failed.number), due);
        drop(state);
        self.notify(is_local);
    }

    /// Another server has changed this key: an upload that waits is compared with what the remote tier has by then.
    /// Answers [`UploadQueue::is_waiting`].
    pub(super) fn doubt(&self, digest: &Digest) -> bool {
        let mut state = self.lock();
        let job = state.jobs.get_mut(digest).filter(|job| job.kind.waits());
        job.map(|job| job.repeated = true).is_some()
    }

    /// Whether the last change of this key may have been done before, or has to give way to one of another server.
    fn is_in_doubt(&self, digest: &Digest) -> bool {
        self.lock().jobs.get(digest).is_some_and(|job| job.repeated)
    }

    /// Whether `job` is still the last change of its key.
    fn is_current(&self, job: &QueuedChange) -> bool {
        let state = self.lock();
        let now = state.jobs.get(job.key.digest());
        now.is_some_and(|now| now.number == job.number)
    }

    fn news(&self, is_local: bool) -> &Notify {
        if is_local { &self.to_disk } else { &self.to_remote }
    }

    fn notify(&self, is_local: bool) {
        self.news(is_local).notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Changes that the remote tier does not have yet.
//!
//! Each is marked on the disk before its client is answered, so it survives a crash; an entry that waits
//! is pinned. The queue is in memory, rebuilt from the marks. There is one job per key: a later change
//! takes the place of the former one.

mod run;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

pub(super) use run::start;

use super::TieredCore;
use super::change::FIRST_WRITE_NOTE;
use crate::store::disk::{LeftMark, Mark};
use crate::store::{Digest, Result, StoreKey};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct UploadQueue {
    state: Mutex<QueueState>,
    work: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: HashMap<Digest, QueuedChange>,
    order: VecDeque<Digest>,
    last: u64,
}

/// The change of one key that the remote tier must get.
#[derive(Debug, Clone)]
struct QueuedChange {
    kind: ChangeKind,
    since: SystemTime,
    /// Tells a job from a later one of the same key.
    number: u64,
}

#[derive(Debug, Clone)]
enum ChangeKind {
    /// The version on the disk; `first` if it must not replace another server's.
    Upload {
        first: bool,
    },
    Delete(StoreKey),
}

impl UploadQueue {
    /// Whether the remote tier does not have the last change of this key yet.
    pub(super) fn is_waiting(&self, digest: &Digest) -> bool {
        self.lock().jobs.contains_key(digest)
    }

    /// Whether the last change is a delete that the remote tier does not have yet: reads are misses.
    pub(super) fn is_deleted(&self, digest: &Digest) -> bool {
        self.mark_of(digest) == Some(Mark::Deleted)
    }

    /// Whether the last change is a write that the remote tier does not have yet.
    pub(super) fn is_upload(&self, digest: &Digest) -> bool {
        self.mark_of(digest) == Some(Mark::Upload)
    }

    pub(super) fn upload(&self, digest: Digest, first: bool) {
        self.add(digest, ChangeKind::Upload { first }, SystemTime::now());
    }

    pub(super) fn delete(&self, key: StoreKey) {
        self.add(*key.digest(), ChangeKind::Delete(key), SystemTime::now());
    }

    /// The mark that stands for what waits about this key.
    pub(super) fn mark_of(&self, digest: &Digest) -> Option<Mark> {
        let state = self.lock();
        state.jobs.get(digest).map(|job| match job.kind {
            ChangeKind::Upload { .. } => Mark::Upload,
            ChangeKind::Delete(_) => Mark::Deleted,
        })
    }

    /// The remote tier has the last change of this key.
    pub(super) fn settle(&self, digest: &Digest) {
        self.lock().jobs.remove(digest);
    }

    /// How many changes wait, and since when the oldest does.
    pub(super) fn figures(&self) -> (usize, Option<SystemTime>) {
        let state = self.lock();
        let oldest = state.jobs.values().map(|job| job.since).min();
        (state.jobs.len(), oldest)
    }

    fn add(&self, digest: Digest, kind: ChangeKind, since: SystemTime) {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        let job = QueuedChange { kind, since, number };
        if state.jobs.insert(digest, job).is_none() {
            state.order.push_back(digest);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Takes the next job out of the order, not out of the queue.
    async fn next(&self) -> (Digest, QueuedChange) {
        loop {
            {
                let mut state = self.lock();
                while let Some(digest) = state.order.pop_front() {
                    if let Some(job) = state.jobs.get(&digest).cloned() {
                        // One wake-up may stand for several jobs.
                        self.work.notify_one();
                        return (digest, job);
                    }
                }
            }
            self.work.notified().await;
        }
    }

    /// A job that could not be done, or was replaced meanwhile, goes to the end.
    fn put_back(&self, digest: Digest) {
        let mut state = self.lock();
        if state.jobs.contains_key(&digest) {
            state.order.push_back(digest);
            drop(state);
            self.work.notify_one();
        }
    }

    /// Whether `job` is still the last change of this key.
    fn is_current(&self, digest: &Digest, job: &QueuedChange) -> bool {
        let state = self.lock();
        state.jobs.get(digest).is_some_and(|now| now.number == job.number)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles what an earlier run left, before anything is served.
pub(super) async fn recover(core: &Arc<TieredCore>) -> Result<()> {
    let marks = core.local.marks().await?;
    if !marks.is_empty() {
        tracing::info!(
            changes = marks.len(),
            "the shared tier has not heard of some changes of the last run; telling it now"
        );
    }
    for left in marks {
        recover_one(core, left).await?;
    }
    Ok(())
}

async fn recover_one(core: &Arc<TieredCore>, left: LeftMark) -> Result<()> {
    let (digest, mark, since) = (left.digest, left.mark, left.since);
    match mark {
        Mark::Upload => {
            let first = left.note == FIRST_WRITE_NOTE;
            core.queue.add(digest, ChangeKind::Upload { first }, since);
        }
        Mark::Deleted => match StoreKey::from_canonical(&left.note) {
            Some(key) if *key.digest() == digest && !core.queue.is_upload(&digest) => {
                core.queue.add(digest, ChangeKind::Delete(key), since);
            }
            // A write came after it, or the mark is damaged.
            _ => core.unmark(&digest, mark).await,
        },
        Mark::Doubt => {
            if let Some((key, _, _)) = core.local.entry(&digest).await? {
                core.drop_local(&key).await;
            }
            core.unmark(&digest, mark).await;
        }
    }
    Ok(())
}

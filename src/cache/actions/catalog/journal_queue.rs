//! Records for the journal: appended at once, or queued and repeated until the journal takes them.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::told::Untold;
use crate::error::chain;
use crate::store::journal::{Journal, Ulid};
use crate::tasks::{Tasks, pause};
use crate::telemetry::seldom::is_time;

/// Longest wait for the journal. Readers go back by a minute only, so a name must not arrive late.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest queue. One more record takes the place of the oldest one.
const MAX_QUEUED_RECORDS: usize = 4096;
/// Time before the first repetition. It doubles with each failure, up to [`MAX_RETRY_INTERVAL`].
const FIRST_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time between two repetitions.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// Records whose removal may wait.
const MAX_REMOVALS: usize = 1024;

#[derive(Debug)]
pub(super) struct JournalQueue {
    journal: Journal,
    tasks: Tasks,
    queue: Mutex<QueueState>,
    complained: AtomicU64,
    removals: mpsc::Sender<QueuedRecord>,
}

#[derive(Debug, Default)]
struct QueueState {
    records: VecDeque<(QueuedRecord, Untold)>,
    running: bool,
}

#[derive(Debug)]
pub(super) struct QueuedRecord {
    pub(super) stream: String,
    /// Names the object of the record.
    pub(super) id: Ulid,
    pub(super) record: Vec<u8>,
}

impl JournalQueue {
    pub(super) fn new(journal: Journal, tasks: &Tasks) -> Arc<Self> {
        let (removals, gone) = mpsc::channel(MAX_REMOVALS);
        drop(tasks.spawn(remove_all(journal.clone(), gone, tasks.stopping())));
        Arc::new(Self {
            journal,
            tasks: tasks.clone(),
            queue: Mutex::default(),
            complained: AtomicU64::new(0),
            removals,
        })
    }

    /// Removes a record later, because its entry is gone. One that stays costs its readers a look.
    pub(super) fn remove(&self, gone: QueuedRecord) {
        let _too_many = self.removals.try_send(gone);
    }

    /// Appends a record now. If that fails, queues it. One that leaves the queue otherwise stays untold.
    pub(super) async fn send(self: &Arc<Self>, queued: QueuedRecord, untold: Untold) {
        match self.append(&queued).await {
            true => untold.told(),
            false => self.keep(queued, untold),
        }
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.lock().records.len()
    }

    async fn append(&self, queued: &QueuedRecord) -> bool {
        let adding = self.journal.append(&queued.stream, queued.id, &queued.record);
        matches!(tokio::time::timeout(APPEND_TIMEOUT, adding).await, Ok(Ok(())))
    }

    fn keep(self: &Arc<Self>, queued: QueuedRecord, untold: Untold) {
        let mut queue = self.lock();
        let full = queue.records.len() >= MAX_QUEUED_RECORDS;
        if full {
            queue.records.pop_front();
        }
        queue.records.push_back((queued, untold));
        let begin = !std::mem::replace(&mut queue.running, true);
        drop(queue);
        if begin {
            tracing::warn!(
                "cannot tell other servers about a cache entry; trying again until they can be told"
            );
            let this = Arc::clone(self);
            drop(self.tasks.spawn(async move { this.retry().await }));
        }
        if full && is_time(&self.complained) {
            tracing::warn!(
                most = MAX_QUEUED_RECORDS,
                "too many cache entries that other servers were not told about"
            );
        }
    }

    async fn retry(&self) {
        let stopping = self.tasks.stopping();
        let mut interval = FIRST_RETRY_INTERVAL;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = pause(interval) => {}
            }
            interval = match self.append_all().await {
                true if self.is_done() => return,
                true => FIRST_RETRY_INTERVAL,
                false => (interval * 2).min(MAX_RETRY_INTERVAL),
            };
        }
    }

    /// Appends one after the other. `false` if one failed.
    async fn append_all(&self) -> bool {
        loop {
            let Some((queued, untold)) = self.lock().records.pop_front() else {
                return true;
            };
            if !self.append(&queued).await {
                self.lock().records.push_front((queued, untold));
                return false;
            }
            untold.told();
        }
    }

    /// Whether the queue is empty. The next failure starts another task then.
    fn is_done(&self) -> bool {
        let mut queue = self.lock();
        queue.running = !queue.records.is_empty();
        !queue.running
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn remove_all(journal: Journal, mut gone: mpsc::Receiver<QueuedRecord>, stopping: CancellationToken) {
    let removing = async {
        while let Some(one) = gone.recv().await {
            if let Err(error) = journal.remove(&one.stream, one.id, &one.record).await {
                tracing::debug!(
                    cause = chain(&error),
                    "a record of the journal could not be removed"
                );
            }
        }
    };
    stopping.run_until_cancelled(removing).await;
}

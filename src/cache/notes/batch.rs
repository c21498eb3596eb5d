//! Notes on their way: what comes while others are sent goes along with the next ones, in one message.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Note;
use crate::tasks::{Tasks, pause};
use crate::telemetry::seldom::is_time;

/// Notes that may wait.
const MAX_WAITING: usize = 4096;
/// Bytes of notes in one message, but for the first note.
const MAX_BATCH_BYTES: usize = 32 * 1024;
/// Longest time of one attempt. Readers of the log go back by minutes only, so a name must not arrive late.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Time before the first repetition. It doubles with each failure, up to [`MAX_RETRY_INTERVAL`].
const FIRST_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time between two repetitions.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Notes that nobody waits for are gathered for this long.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// What happens to notes that could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// They are dropped: they have another way.
    Once,
    /// They are sent again.
    Endless,
}

/// Sends some notes; whether they arrived.
pub(super) type Send = Arc<
    dyn Fn(Vec<Note>) -> Pin<Box<dyn Future<Output = bool> + std::marker::Send>> + std::marker::Send + Sync,
>;

/// Sends notes one batch after the other. Cheap to clone.
#[derive(Clone)]
pub(super) struct Batcher(Arc<BatchShared>);

struct BatchShared {
    send: Send,
    patience: Patience,
    tasks: Tasks,
    line: Mutex<Line>,
    dropped: AtomicU64,
    complained: AtomicU64,
    /// Somebody waits for a note.
    urgent: Notify,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    running: bool,
}

struct Waiting {
    note: Note,
    sent: Option<oneshot::Sender<bool>>,
}

impl Batcher {
    pub(super) fn new(send: Send, patience: Patience, tasks: &Tasks) -> Self {
        Self(Arc::new(BatchShared {
            send,
            patience,
            tasks: tasks.clone(),
            line: Mutex::default(),
            dropped: AtomicU64::new(0),
            complained: AtomicU64::new(0),
            urgent: Notify::new(),
        }))
    }

    /// Sends a note. Resolves when it arrived, or with `false` if it was dropped.
    pub(super) async fn send(&self, note: Note) -> bool {
        let (sent, arrived) = oneshot::channel();
        self.push(note, Some(sent)) && arrived.await.unwrap_or(false)
    }

    /// Adds a note. `false` if too many wait.
    pub(super) fn push(&self, note: Note, sent: Option<oneshot::Sender<bool>>) -> bool {
        let mut line = self.0.lock();
        if line.waiting.len() >= MAX_WAITING {
            drop(line);
            self.0.refuse();
            return false;
        }
        if sent.is_some() {
            self.0.urgent.notify_one();
        }
        line.waiting.push_back(Waiting { note, sent });
        if !std::mem::replace(&mut line.running, true) {
            let shared = Arc::clone(&self.0);
            drop(self.0.tasks.spawn(async move { shared.run().await }));
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Notes that found too many others waiting.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl BatchShared {
    async fn run(&self) {
        let stopping = self.tasks.stopping();
        let mut interval = FIRST_RETRY_INTERVAL;
        loop {
            if self.may_linger() {
                tokio::select! {
                    () = pause(LINGER_TIME) => {}
                    () = self.urgent.notified() => {}
                }
            }
            let Some(batch) = self.next() else {
                return;
            };
            let notes = batch.iter().map(|waiting| waiting.note.clone()).collect();
            let sending = tokio::time::timeout(SEND_TIMEOUT, (self.send)(notes));
            let arrived = matches!(sending.await, Ok(true));
            if arrived || self.patience == Patience::Once {
                for sent in batch.into_iter().filter_map(|waiting| waiting.sent) {
                    // Who waited may have gone.
                    let _gone = sent.send(arrived);
                }
                interval = FIRST_RETRY_INTERVAL;
                continue;
            }
            self.put_back(batch);
            tokio::select! {
                () = stopping.cancelled() => return,
                () = pause(interval) => {}
            }
            interval = (interval * 2).min(MAX_RETRY_INTERVAL);
        }
    }

    /// Too many wait.
    fn refuse(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if self.patience == Patience::Endless && is_time(&self.complained) {
            tracing::warn!(
                dropped,
                most = MAX_WAITING,
                "too many changes wait for the bucket to be told to the other servers; they hear of saves later, by the \
                 journal at the latest, and compare their copies; check the bucket"
            );
        }
    }

    /// Whether nobody waits for what would be sent now: then more may come.
    fn may_linger(&self) -> bool {
        let line = self.lock();
        !line.waiting.is_empty() && line.waiting.iter().all(|waiting| waiting.sent.is_none())
    }

    /// The next notes; `None` ends the run.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut line = self.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(waiting) = line.waiting.front() {
            bytes += waiting.note.body.len() + 16;
            if bytes > MAX_BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(line.waiting.pop_front());
        }
        line.running = !batch.is_empty();
        line.running.then_some(batch)
    }

    fn put_back(&self, batch: Vec<Waiting>) {
        let mut line = self.lock();
        for waiting in batch.into_iter().rev() {
            line.waiting.push_front(waiting);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("waiting", &self.len()).finish()
    }
}

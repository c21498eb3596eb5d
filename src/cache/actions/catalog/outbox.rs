//! What other servers have to be told: at once, or again and again until the journal takes it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::journal::{Journal, next_ulid};
use crate::tasks::{Tasks, pause};

/// Longest wait for the journal: readers go back by a minute only, so a name must not be old when it is there.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records that wait; the oldest is given up for one more.
const MOST: usize = 4096;
/// Between two attempts; doubled as long as nothing helps, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    journal: Arc<dyn Journal>,
    tasks: Tasks,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    letters: VecDeque<Letter>,
    running: bool,
}

#[derive(Debug)]
struct Letter {
    stream: String,
    record: Vec<u8>,
}

impl Outbox {
    pub(super) fn new(journal: Arc<dyn Journal>, tasks: &Tasks) -> Self {
        Self {
            shared: Arc::new(Shared {
                journal,
                tasks: tasks.clone(),
                queue: Mutex::default(),
            }),
        }
    }

    /// Tells it now; if that fails, later.
    pub(super) async fn send(&self, stream: String, record: Vec<u8>) {
        let letter = Letter { stream, record };
        if !self.shared.tell(&letter).await {
            self.shared.keep(letter);
        }
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.shared.lock().letters.len()
    }
}

impl Shared {
    async fn tell(&self, letter: &Letter) -> bool {
        // A new name for each attempt: readers may be beyond the former one.
        let adding = self.journal.append(&letter.stream, next_ulid(), &letter.record);
        matches!(tokio::time::timeout(PATIENCE, adding).await, Ok(Ok(())))
    }

    fn keep(self: &Arc<Self>, letter: Letter) {
        let mut queue = self.lock();
        let full = queue.letters.len() >= MOST;
        if full {
            queue.letters.pop_front();
        }
        queue.letters.push_back(letter);
        let begin = !std::mem::replace(&mut queue.running, true);
        drop(queue);
        if begin {
            tracing::warn!(
                "cannot tell other servers about a cache entry; trying again until they can be told"
            );
            let shared = Arc::clone(self);
            drop(self.tasks.spawn(async move { shared.retry().await }));
        }
        if full {
            tracing::warn!(
                most = MOST,
                "too many cache entries that other servers were not told about"
            );
        }
    }

    async fn retry(&self) {
        let stopping = self.tasks.stopping();
        let mut rest = FIRST;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = pause(rest) => {}
            }
            rest = match self.tell_all().await {
                true if self.is_done() => return,
                true => FIRST,
                false => (rest * 2).min(LONGEST),
            };
        }
    }

    /// Tells one after the other until one fails.
    async fn tell_all(&self) -> bool {
        loop {
            let Some(letter) = self.lock().letters.pop_front() else {
                return true;
            };
            if !self.tell(&letter).await {
                self.lock().letters.push_front(letter);
                return false;
            }
        }
    }

    /// Whether nothing came meanwhile; the next one begins anew then.
    fn is_done(&self) -> bool {
        let mut queue = self.lock();
        queue.running = !queue.letters.is_empty();
        !queue.running
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

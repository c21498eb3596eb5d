//! Files that are out of the index and could not be unlinked: the volume went read-only, a file is
//! immutable. Their bytes stay counted, since they stay on the volume, until an attempt succeeds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::index::FileRecord;
use crate::tasks;

/// The most files that are remembered. The next start removes the others.
const MAX_FILES: usize = 1024;
/// The first pause between a failure and the next attempt. It doubles as long as nothing helps, up to
/// [`MAX_RETRY_DELAY`].
const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct UnlinkRetry {
    state: Mutex<RetryState>,
    added: Notify,
}

#[derive(Debug, Default)]
struct RetryState {
    files: Vec<FileRecord>,
    pause: Duration,
    /// When to try again; `None` when there is nothing, or an attempt is under way.
    due: Option<Instant>,
    /// Before this it is too early even if room is wanted.
    earliest: Option<Instant>,
}

impl UnlinkRetry {
    /// Remembers a file that stayed.
    pub(super) fn add(&self, file: &FileRecord) {
        let mut state = self.lock();
        if state.files.len() < MAX_FILES {
            state.files.push(*file);
            state.plan();
        }
        drop(state);
        self.added.notify_one();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lock().files.len()
    }

    /// Whether one more would be forgotten.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX_FILES
    }

    /// Resolves when the next attempt is due.
    pub(super) async fn due(&self) {
        loop {
            let due = self.lock().due;
            match due {
                Some(due) => return tasks::pause(due.saturating_duration_since(Instant::now())).await,
                None => self.added.notified().await,
            }
        }
    }

    /// Whether an attempt makes sense: there are files, and the last one was not just now.
    pub(super) fn is_worth_it(&self) -> bool {
        let state = self.lock();
        !state.files.is_empty() && state.earliest.is_none_or(|earliest| earliest <= Instant::now())
    }

    /// Takes all for an attempt. What fails again is added again; [`UnlinkRetry::tried`] follows.
    pub(super) fn take(&self) -> Vec<FileRecord> {
        let mut state = self.lock();
        state.due = None;
        std::mem::take(&mut state.files)
    }

    /// An attempt has ended, and `helped` if anything could be unlinked.
    pub(super) fn tried(&self, helped: bool) {
        let mut state = self.lock();
        state.earliest = Some(Instant::now() + MIN_RETRY_DELAY);
        state.pause = match helped {
            true => MIN_RETRY_DELAY,
            false => (state.pause * 2).clamp(MIN_RETRY_DELAY, MAX_RETRY_DELAY),
        };
        state.due = None;
        if !state.files.is_empty() {
            state.plan();
        }
    }

    fn lock(&self) -> MutexGuard<'_, RetryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RetryState {
    fn plan(&mut self) {
        let pause = self.pause.max(MIN_RETRY_DELAY);
        self.due.get_or_insert_with(|| Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;

    const FILE: FileRecord = FileRecord {
        belongs: None,
        digest: Digest::new([7; 32]),
        generation: 1,
        stamp: 1,
        blocks: 1,
    };

    async fn waits(unlink_retry: &UnlinkRetry) -> Duration {
        let before = Instant::now();
        unlink_retry.due().await;
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_do_not_help_become_rare() {
        let unlink_retry = UnlinkRetry::default();
        unlink_retry.add(&FILE);
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            let pause = waits(&unlink_retry).await;
            assert!(
                pause >= MIN_RETRY_DELAY && pause >= last && pause <= MAX_RETRY_DELAY + MIN_RETRY_DELAY,
                "{pause:?}"
            );
            last = pause;
            unlink_retry.take().iter().for_each(|file| unlink_retry.add(file));
            unlink_retry.tried(false);
        }
        assert!(last >= MAX_RETRY_DELAY);
        unlink_retry.take().iter().for_each(|file| unlink_retry.add(file));
        unlink_retry.tried(true);
        assert!(waits(&unlink_retry).await <= 2 * MIN_RETRY_DELAY);
    }

    #[test]
    fn a_volume_that_refuses_everything_does_not_fill_the_memory() {
        let unlink_retry = UnlinkRetry::default();
        (0..2 * MAX_FILES).for_each(|_| unlink_retry.add(&FILE));
        assert!(unlink_retry.is_full());
        assert_eq!(unlink_retry.len(), MAX_FILES);
    }
}

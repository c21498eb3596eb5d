//! Files that are out of the index and could not be unlinked: the volume went read-only, a file is
//! immutable. Their bytes stay counted, since they stay on the volume, until an attempt succeeds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::index::Retired;
use crate::tasks;

/// Files that are remembered; what goes beyond waits for the next start.
const MOST: usize = 1024;
/// From a failure to the next attempt; doubled as long as nothing helps, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Retired>,
    pause: Duration,
    /// When to try again; `None` when there is nothing, or an attempt is under way.
    due: Option<Instant>,
    /// Before this it is too early even for those who want room.
    earliest: Option<Instant>,
}

impl Leftovers {
    /// Remembers a file that stayed.
    pub(super) fn add(&self, file: &Retired) {
        let mut state = self.lock();
        if state.files.len() < MOST {
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
        self.len() >= MOST
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

    /// Whether an attempt makes sense: somebody wants room, and the last one was not just now.
    pub(super) fn is_worth_it(&self) -> bool {
        let state = self.lock();
        !state.files.is_empty() && state.earliest.is_none_or(|earliest| earliest <= Instant::now())
    }

    /// Takes all for an attempt. What fails again is added again; [`Leftovers::tried`] follows.
    pub(super) fn take(&self) -> Vec<Retired> {
        let mut state = self.lock();
        state.due = None;
        std::mem::take(&mut state.files)
    }

    /// An attempt has ended, and `helped` if anything could be unlinked.
    pub(super) fn tried(&self, helped: bool) {
        let mut state = self.lock();
        state.earliest = Some(Instant::now() + FIRST);
        state.pause = match helped {
            true => FIRST,
            false => (state.pause * 2).clamp(FIRST, LONGEST),
        };
        state.due = None;
        if !state.files.is_empty() {
            state.plan();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn plan(&mut self) {
        let pause = self.pause.max(FIRST);
        self.due.get_or_insert_with(|| Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;

    const FILE: Retired = Retired {
        digest: Digest::new([7; 32]),
        generation: 1,
        blocks: 1,
    };

    async fn waits(leftovers: &Leftovers) -> Duration {
        let before = Instant::now();
        leftovers.due().await;
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_do_not_help_become_rare() {
        let leftovers = Leftovers::default();
        leftovers.add(&FILE);
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            let pause = waits(&leftovers).await;
            assert!(
                pause >= FIRST && pause >= last && pause <= LONGEST + FIRST,
                "{pause:?}"
            );
            last = pause;
            leftovers.take().iter().for_each(|file| leftovers.add(file));
            leftovers.tried(false);
        }
        assert!(last >= LONGEST);
        leftovers.take().iter().for_each(|file| leftovers.add(file));
        leftovers.tried(true);
        assert!(waits(&leftovers).await <= 2 * FIRST);
    }

    #[test]
    fn a_volume_that_refuses_everything_does_not_fill_the_memory() {
        let leftovers = Leftovers::default();
        (0..2 * MOST).for_each(|_| leftovers.add(&FILE));
        assert!(leftovers.is_full());
        assert_eq!(leftovers.len(), MOST);
    }
}

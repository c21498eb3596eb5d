//! Who checks what answers wait for: one reader at a time, whose result counts for those who waited meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// The turns of one file.
#[derive(Debug, Default)]
pub(super) struct CheckTurns {
    turn: Mutex<()>,
    /// Checks that came to their end.
    done: AtomicU64,
}

/// The right to check. Dropped without [`CheckTurn::end`], the next one checks.
#[derive(Debug)]
pub(super) struct CheckTurn<'a> {
    turns: &'a CheckTurns,
    _turn: MutexGuard<'a, ()>,
}

impl CheckTurns {
    /// Waits for the turn; `None` if a check came to its end meanwhile. Readers of a file that has left the page cache
    /// would otherwise check one after the other, since nothing else tells them that it was read again.
    pub(super) async fn wait(&self) -> Option<CheckTurn<'_>> {
        let before = self.done.load(Ordering::Acquire);
        let turn = self.turn.lock().await;
        (self.done.load(Ordering::Acquire) == before).then_some(CheckTurn {
            turns: self,
            _turn: turn,
        })
    }
}

impl CheckTurn<'_> {
    /// The check has come to its end, whatever it has found.
    pub(super) fn end(self) {
        self.turns.done.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn readers_of_a_cooled_file_do_not_check_one_after_another() {
        let turns = CheckTurns::default();
        let first = turns.wait().await.expect("nobody checks");
        let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(turns.wait())).collect();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        first.end();
        for wait in waiting {
            assert!(wait.await.is_none(), "it was checked while this one waited");
        }
        assert!(turns.wait().await.is_some(), "later it may be cold again");
    }

    #[tokio::test]
    async fn a_check_that_was_given_up_counts_for_nobody() {
        let turns = CheckTurns::default();
        let first = turns.wait().await.expect("nobody checks");
        let mut next = Box::pin(turns.wait());
        assert!(poll!(&mut next).is_pending());
        drop(first);
        assert!(next.await.is_some());
    }
}

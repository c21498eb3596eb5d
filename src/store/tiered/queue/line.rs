//! Who is next.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::store::Digest;

/// A job by the key and the number that tells it from later ones of the same key.
pub(super) type Ticket = (Digest, u64);

/// Jobs in the order in which they are done. One that has failed waits for its time.
#[derive(Debug, Default)]
pub(super) struct Line {
    ready: VecDeque<Ticket>,
    later: BTreeMap<(Instant, u64), Ticket>,
}

impl Line {
    pub(super) fn push(&mut self, ticket: Ticket) {
        self.ready.push_back(ticket);
    }

    pub(super) fn push_later(&mut self, ticket: Ticket, due: Instant) {
        self.later.insert((due, ticket.1), ticket);
    }

    /// How many wait for no time.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Drops those that wait for no time and are not to be kept.
    pub(super) fn keep(&mut self, is_kept: impl FnMut(&Ticket) -> bool) {
        self.ready.retain(is_kept);
    }

    /// The next one whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Ticket> {
        if let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            return Some(first.remove());
        }
        self.ready.pop_front()
    }

    /// When the next one is due, if all have to wait.
    pub(super) fn due(&self) -> Option<Instant> {
        self.later.keys().next().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn who_has_failed_comes_at_its_time_and_holds_up_nobody() {
        let mut line = Line::default();
        let now = Instant::now();
        let (failed, other) = ((Digest::new([1; 32]), 1), (Digest::new([2; 32]), 2));
        line.push_later(failed, now + Duration::from_secs(5));
        line.push(other);
        assert_eq!(line.pop(now), Some(other));
        assert_eq!(line.pop(now), None);
        assert_eq!(line.due(), Some(now + Duration::from_secs(5)));
        line.push(other);
        assert_eq!(line.pop(now + Duration::from_secs(5)), Some(failed));
        assert_eq!(line.pop(now), Some(other));
    }
}

//! Who is next.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;

use crate::store::{Asker, Digest};

/// A job by the key and the number that tells it from later ones of the same key.
pub(super) type Ticket = (Digest, u64);

/// Jobs in the order in which they are done: those of a tenant as they came, and tenants in turn. One that has failed waits
/// for its time.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// None of them is empty.
    ready: HashMap<Asker, VecDeque<Ticket>>,
    /// Each of those, the next one first.
    turns: VecDeque<Asker>,
    /// How many tickets they have.
    count: usize,
    later: BTreeMap<(Instant, u64), Ticket>,
}

impl Line {
    pub(super) fn push(&mut self, asker: Asker, ticket: Ticket) {
        let own = self.ready.entry(asker).or_default();
        if own.is_empty() {
            self.turns.push_back(asker);
        }
        own.push_back(ticket);
        self.count += 1;
    }

    pub(super) fn push_later(&mut self, ticket: Ticket, due: Instant) {
        self.later.insert((due, ticket.1), ticket);
    }

    /// How many wait for no time.
    pub(super) fn ready(&self) -> usize {
        self.count
    }

    /// Drops those that wait for no time and are not to be kept.
    pub(super) fn keep(&mut self, mut is_kept: impl FnMut(&Ticket) -> bool) {
        self.ready.retain(|_, own| {
            own.retain(&mut is_kept);
            !own.is_empty()
        });
        let ready = &self.ready;
        self.turns.retain(|asker| ready.contains_key(asker));
        self.count = ready.values().map(VecDeque::len).sum();
    }

    /// The next one whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Ticket> {
        if let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            return Some(first.remove());
        }
        let asker = self.turns.pop_front()?;
        let own = self.ready.get_mut(&asker)?;
        let next = own.pop_front()?;
        self.count -= 1;
        match own.is_empty() {
            true => drop(self.ready.remove(&asker)),
            false => self.turns.push_back(asker),
        }
        Some(next)
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
        line.push(Asker::SERVER, other);
        assert_eq!(line.pop(now), Some(other));
        assert_eq!(line.pop(now), None);
        assert_eq!(line.due(), Some(now + Duration::from_secs(5)));
        line.push(Asker::SERVER, other);
        assert_eq!(line.pop(now + Duration::from_secs(5)), Some(failed));
        assert_eq!(line.pop(now), Some(other));
    }
    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_tenant_does_not_keep_the_job_of_another_waiting() {
        let mut line = Line::default();
        let ticket = |number: u64| (Digest::new([1; 32]), number);
        let (flood, quiet) = (Asker::from_number(1), Asker::from_number(2));
        (0..1000).for_each(|number| line.push(flood, ticket(number)));
        line.push(quiet, ticket(1000));
        let now = Instant::now();
        assert_eq!(line.pop(now), Some(ticket(0)));
        assert_eq!(line.pop(now), Some(ticket(1000)));
        line.keep(|(_, number)| *number >= 998);
        assert_eq!(line.ready(), 2);
        line.push(quiet, ticket(1001));
        let rest: Vec<_> = std::iter::from_fn(|| line.pop(now)).collect();
        assert_eq!(rest, [998, 1001, 999].map(ticket));
        assert!(line.ready.is_empty() && line.turns.is_empty() && line.ready() == 0);
    }
}

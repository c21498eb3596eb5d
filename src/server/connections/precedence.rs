//! Which connection gives way when there is no place left: the one that has been without a caller for longest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::activity::{ConnectionState, Loneliness};

/// Connections that one search looks at; the rest of them comes with the next one.
const MAX_LOOKS: usize = 4096;

/// All connections, the longest without a caller first.
///
/// A request changes nothing here. What is known of a connection may be old, and a connection has only become less
/// lonely since. So the first one is looked at anew, and takes its true place if it is not the loneliest. Which of
/// those is found that lost their callers in one second is not said.
#[derive(Debug, Default)]
pub(super) struct Precedence(Mutex<Candidates>);

#[derive(Debug, Default)]
struct Candidates {
    waiting: BinaryHeap<Reverse<Candidate>>,
    /// Those of which the search that is going on has seen that they have callers.
    seen: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    /// As of the last look.
    loneliness: Loneliness,
    state: Weak<ConnectionState>,
}

/// What a search has found.
#[derive(Debug)]
pub(super) enum Found {
    /// It is not in the list any more.
    Connection(Arc<ConnectionState>),
    /// All have callers.
    Nobody,
    /// Nobody so far; the search is to be gone on with.
    NotYet,
}

impl Precedence {
    pub(super) fn add(&self, state: &Arc<ConnectionState>) {
        self.candidates().waiting.push(Reverse(Candidate::of(state)));
    }

    /// The connection that has been without a caller for longest.
    pub(super) fn next(&self) -> Found {
        let mut candidates = self.candidates();
        for _ in 0..MAX_LOOKS {
            let Some(Reverse(first)) = candidates.waiting.pop() else {
                candidates.end_search();
                return Found::Nobody;
            };
            // One that has ended.
            let Some(state) = first.state.upgrade() else {
                continue;
            };
            let today = Candidate::of(&state);
            if state.has_caller() {
                candidates.seen.push(today);
            } else if today.loneliness > first.loneliness {
                candidates.waiting.push(Reverse(today));
            } else {
                candidates.end_search();
                return Found::Connection(state);
            }
        }
        Found::NotYet
    }

    /// Forgets those that have ended, if they are many.
    pub(super) fn tidy(&self, open: usize) {
        let mut candidates = self.candidates();
        if candidates.waiting.len() > 2 * open + MAX_LOOKS {
            let is_open = |candidate: &Candidate| candidate.state.strong_count() > 0;
            candidates.waiting.retain(|Reverse(candidate)| is_open(candidate));
        }
    }

    fn candidates(&self) -> MutexGuard<'_, Candidates> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Candidates {
    fn end_search(&mut self) {
        self.waiting.extend(self.seen.drain(..).map(Reverse));
    }
}

impl Candidate {
    fn of(state: &Arc<ConnectionState>) -> Self {
        Self {
            loneliness: state.loneliness(),
            state: Arc::downgrade(state),
        }
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.loneliness == other.loneliness
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.loneliness.cmp(&other.loneliness)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::common::Common;
    use super::*;
    use crate::protocol::call::CallerCount;
    use crate::server::connections::Activity;

    /// Connections that come, get callers, lose them and end, against a look at all of them.
    #[test]
    fn the_longest_without_a_caller_is_found_and_never_one_with_a_caller() {
        proptest::proptest!(|(steps: Vec<(u8, u8)>)| {
            let (precedence, common) = (Precedence::default(), Common::new(1, 1));
            let mut open: Vec<Activity> = Vec::new();
            for (nth, (step, which)) in steps.into_iter().enumerate() {
                let chosen = usize::from(which) % open.len().max(1);
                match (step % 6, open.get(chosen)) {
                    (0, _) | (_, None) => {
                        let activity = Activity::new(nth as u64, Arc::clone(&common));
                        precedence.add(&activity.0);
                        open.push(activity);
                    }
                    (1, Some(activity)) => activity.0.accepted(),
                    (2, Some(activity)) if activity.0.has_caller() => activity.0.done(),
                    (3, Some(_)) => drop(open.remove(chosen)),
                    (4, Some(_)) => _ = common.clock.fetch_add(1, Relaxed),
                    _ => {
                        let lonely = open.iter().filter(|activity| !activity.0.has_caller());
                        let least = lonely.map(|activity| activity.0.loneliness().since).min();
                        let found = match precedence.next() {
                            Found::Connection(state) => Some(state),
                            Found::Nobody => None,
                            Found::NotYet => panic!("there are few"),
                        };
                        proptest::prop_assert_eq!(found.is_some(), least.is_some());
                        if let Some(found) = found {
                            proptest::prop_assert!(!found.has_caller());
                            // The order within a second may be another.
                            proptest::prop_assert!(Some(found.loneliness().since) <= least.map(|least| least + 1));
                            open.retain(|activity| activity.0.id != found.id);
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn a_search_among_very_many_with_callers_comes_to_its_end_in_parts() {
        let (precedence, common) = (Precedence::default(), Common::new(1, 1));
        let activities: Vec<Activity> = (0..3 * MAX_LOOKS as u64)
            .map(|id| Activity::new(id, Arc::clone(&common)))
            .collect();
        for activity in &activities {
            activity.0.accepted();
            precedence.add(&activity.0);
        }
        let search = || {
            (0..4).find_map(|_| match precedence.next() {
                Found::NotYet => None,
                Found::Connection(state) => Some(Some(state.id)),
                Found::Nobody => Some(None),
            })
        };
        assert_eq!(search(), Some(None));
        activities[5].0.done();
        assert_eq!(search(), Some(Some(5)));
        assert_eq!(search(), Some(None));
    }
}

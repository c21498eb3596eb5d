//! Connections on which nothing happens, found by one look a second at all of them.
//!
//! hyper can do this with a timer for each connection, which is set anew for every request; that costs
//! a small read 4 % of its CPU time, for a limit that nobody needs to the millisecond.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A connection with a request under way whose bytes do not move for so long is given up, whatever
/// either side waits for.
const STALLED: Duration = Duration::from_secs(15 * 60);

/// Watches over all connections of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Seconds since the start, as good as the last look.
    clock: Arc<AtomicU32>,
    keep_alive: u32,
    next: AtomicU64,
    connections: Mutex<HashMap<u64, (Weak<State>, CancellationToken)>>,
}

/// What one connection does; shared by its stream and its requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    clock: Arc<AtomicU32>,
    last: AtomicU32,
    requests: AtomicU32,
}

/// A request under way.
#[derive(Debug)]
pub struct Running(Activity);

/// Takes a connection off the list when it has ended.
#[derive(Debug)]
pub(super) struct Watched(Watch, u64);

impl Watch {
    /// A connection may be idle, or take for the head of a request, as long as `keep_alive`.
    pub(super) fn new(keep_alive: Duration) -> Self {
        Self(Arc::new(Shared {
            clock: Arc::default(),
            keep_alive: u32::try_from(keep_alive.as_secs()).unwrap_or(u32::MAX).max(1),
            next: AtomicU64::new(0),
            connections: Mutex::default(),
        }))
    }

    /// A new connection, which `end` ends.
    pub(super) fn add(&self, end: CancellationToken) -> (Activity, Watched) {
        let clock = Arc::clone(&self.0.clock);
        let last = AtomicU32::new(clock.load(Relaxed));
        let state = Arc::new(State {
            clock,
            last,
            requests: AtomicU32::new(0),
        });
        let id = self.0.next.fetch_add(1, Relaxed);
        self.connections().insert(id, (Arc::downgrade(&state), end));
        (Activity(state), Watched(self.clone(), id))
    }

    /// Looks once a second until `stopping`.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = seconds.tick() => self.look(self.0.clock.fetch_add(1, Relaxed) + 1),
            }
        }
    }

    fn look(&self, now: u32) {
        for (state, end) in self.connections().values() {
            let over = state
                .upgrade()
                .is_some_and(|state| state.idle(now) > self.limit(&state));
            if over {
                end.cancel();
            }
        }
    }

    fn limit(&self, state: &State) -> u32 {
        match state.requests.load(Relaxed) {
            0 => self.0.keep_alive,
            _ => self.0.keep_alive.max(STALLED.as_secs() as u32),
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, (Weak<State>, CancellationToken)>> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn idle(&self, now: u32) -> u32 {
        now.saturating_sub(self.last.load(Relaxed))
    }
}

impl Activity {
    /// Bytes moved. Counts only during a request: a client that sends its head byte by byte must not
    /// hold a connection for ever.
    pub(super) fn touch(&self) {
        if self.0.requests.load(Relaxed) > 0 {
            self.0.last.store(self.0.clock.load(Relaxed), Relaxed);
        }
    }

    /// A request has come.
    pub(super) fn begin(&self) -> Running {
        self.0.requests.fetch_add(1, Relaxed);
        self.touch();
        Running(self.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.touch();
        self.0.0.requests.fetch_sub(1, Relaxed);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.connections().remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scenario: impl FnOnce(&Watch, &Activity), ended: bool) {
        let watch = Watch::new(Duration::from_secs(10));
        let end = CancellationToken::new();
        let (activity, _watched) = watch.add(end.clone());
        scenario(&watch, &activity);
        assert_eq!(end.is_cancelled(), ended);
    }

    fn look_at(watch: &Watch, second: u32) {
        watch.0.clock.store(second, Relaxed);
        watch.look(second);
    }

    #[test]
    fn an_idle_connection_ends_after_keep_alive() {
        check(|watch, _| look_at(watch, 10), false);
        check(|watch, _| look_at(watch, 11), true);
    }

    #[test]
    fn bytes_of_a_head_do_not_prolong_it() {
        let dribble = |watch: &Watch, activity: &Activity| {
            look_at(watch, 9);
            activity.touch();
            look_at(watch, 11);
        };
        check(dribble, true);
    }

    #[test]
    fn a_request_under_way_may_take_longer() {
        let mut running = None;
        check(
            |watch, activity| {
                running = Some(activity.begin());
                look_at(watch, 600);
            },
            false,
        );
        check(
            |watch, activity| {
                running = Some(activity.begin());
                look_at(watch, 901);
            },
            true,
        );
    }

    #[test]
    fn the_clock_begins_anew_when_a_request_has_ended() {
        let again = |watch: &Watch, activity: &Activity| {
            let running = activity.begin();
            look_at(watch, 50);
            drop(running);
            look_at(watch, 60);
        };
        check(again, false);
    }

    #[test]
    fn a_connection_that_ended_is_forgotten() {
        let watch = Watch::new(Duration::from_secs(10));
        let (_, watched) = watch.add(CancellationToken::new());
        drop(watched);
        assert!(watch.connections().is_empty());
    }
}

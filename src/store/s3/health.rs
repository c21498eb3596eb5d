//! Whether the server as a whole can be used, and the rest it is given when it cannot.
//!
//! [`MAX_FAILURES`] failures in a row that speak of the whole server (no answer at all, or one of
//! [`speaks_of_the_server`]) open the circuit: requests fail at once with [`RemoteErrorKind::Resting`]. One probe
//! every [`PROBE_INTERVAL`] runs in the background until the server answers. A denial does not open it: it may
//! concern one kind of request only. Neither does a server that asks for fewer: the SDK slows down by itself.
//!
//! A change is logged once, with the remedy; what does not open the circuit at most once in [`LOG_INTERVAL`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::store::{RemoteErrorKind, RemoteHealth};

/// Failures in a row that open the circuit.
pub(super) const MAX_FAILURES: u32 = 3;
/// Between two probes.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// Between two lines in the log about errors of the same kind.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The state of the circuit. See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Nothing failed since the last success: the usual case needs no lock.
    has_failures: AtomicBool,
    state: Mutex<CircuitState>,
}

#[derive(Debug, Default)]
struct CircuitState {
    failures: u32,
    down: Option<(RemoteErrorKind, SystemTime)>,
    logged: Vec<(RemoteErrorKind, Instant)>,
}

/// Whether an error of this kind concerns every request.
pub(super) fn speaks_of_the_server(kind: RemoteErrorKind) -> bool {
    use RemoteErrorKind::*;
    match kind {
        Unreachable | Timeout | NoCredentials | Expired | NoBucket | WrongRegion | ClockSkew => true,
        Denied | Throttled | Changed | Damaged | Resting | Other => false,
    }
}

impl Health {
    pub(super) fn now(&self) -> RemoteHealth {
        match self.lock().down {
            Some((kind, since)) => RemoteHealth::Down { kind, since },
            None => RemoteHealth::Up,
        }
    }

    /// Whether requests are refused for the time being.
    pub(super) fn is_resting(&self) -> bool {
        self.has_failures.load(Ordering::Relaxed) && self.lock().down.is_some()
    }

    /// A request was answered as it should be.
    pub(super) fn success(&self) {
        if !self.has_failures.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.failures = 0;
        let was = state.down.take();
        drop(state);
        if let Some((_, since)) = was {
            let seconds = since.elapsed().map_or(0, |time| time.as_secs());
            tracing::info!(seconds, "S3 can be used again");
        }
    }

    /// A request failed, or was not answered at all. `true` if this opens the circuit: the caller has to probe then.
    pub(super) fn failure(&self, kind: RemoteErrorKind, cause: &str, answered: bool) -> bool {
        if answered && !speaks_of_the_server(kind) {
            self.complain(kind, cause);
            return false;
        }
        let mut state = self.lock();
        self.has_failures.store(true, Ordering::Relaxed);
        state.failures = state.failures.saturating_add(1);
        if state.failures < MAX_FAILURES || state.down.is_some() {
            return false;
        }
        state.down = Some((kind, SystemTime::now()));
        drop(state);
        tracing::warn!(fault = %kind, cause, "S3 cannot be used; reads are misses until it can");
        true
    }

    fn complain(&self, kind: RemoteErrorKind, cause: &str) {
        if matches!(kind, RemoteErrorKind::Resting | RemoteErrorKind::Changed) {
            return;
        }
        let mut state = self.lock();
        match state.logged.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, when)) if when.elapsed() < LOG_INTERVAL => return,
            Some((_, when)) => *when = Instant::now(),
            None => state.logged.push((kind, Instant::now())),
        }
        drop(state);
        tracing::warn!(fault = %kind, cause, "a request to S3 has failed");
    }

    fn lock(&self) -> MutexGuard<'_, CircuitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_open_the_circuit_and_a_success_closes_it() {
        let health = Health::default();
        for _ in 0..2 {
            assert!(!health.failure(RemoteErrorKind::Timeout, "", true));
            assert!(!health.failure(RemoteErrorKind::Timeout, "", true));
            health.success();
        }
        assert!(!health.failure(RemoteErrorKind::Timeout, "", true));
        assert!(!health.failure(RemoteErrorKind::Unreachable, "", true));
        assert!(!health.is_resting());
        assert!(health.failure(RemoteErrorKind::Unreachable, "", true));
        assert!(health.is_resting());
        assert!(matches!(
            health.now(),
            RemoteHealth::Down {
                kind: RemoteErrorKind::Unreachable,
                ..
            }
        ));
        // One probe is enough.
        assert!(!health.failure(RemoteErrorKind::Unreachable, "", true));
        health.success();
        assert!(!health.is_resting());
        assert_eq!(health.now(), RemoteHealth::Up);
    }

    #[test]
    fn faults_of_single_requests_never_open_it() {
        let health = Health::default();
        for kind in [
            RemoteErrorKind::Denied,
            RemoteErrorKind::Throttled,
            RemoteErrorKind::Damaged,
        ] {
            for _ in 0..10 {
                assert!(!health.failure(kind, "", true));
            }
        }
        assert_eq!(health.now(), RemoteHealth::Up);
    }
}

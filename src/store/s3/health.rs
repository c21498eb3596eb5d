//! Whether the server as a whole can be used, and the rest it is given when it cannot.
//!
//! It is down when nobody can connect, when it answers with errors of its own only, when nothing at all was answered
//! for [`MAX_SILENCE`], or when what answers cannot serve this bucket ([`speaks_of_the_server`]). It is never down
//! because it is slow, and not because it asks for fewer requests.
//!
//! - [`MAX_FAILURES`] failures in a row that can only mean the server open the circuit.
//! - What may also mean one request (an error of the server, a 404 that S3 would not give, a request that is not
//!   answered for [`SUSPICION_TIME`]) only makes the caller probe. The probe decides.
//!
//! While the circuit is open, requests fail at once with [`RemoteErrorKind::Resting`], also those that were waiting.
//! A probe every [`PROBE_INTERVAL`] finds out when the server is back ([`super::probe`]).
//!
//! A change is logged once, with the remedy; what does not open the circuit at most once in [`LOG_INTERVAL`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::{RemoteErrorKind, RemoteHealth};

/// Failures in a row that open the circuit.
pub(super) const MAX_FAILURES: u32 = 3;
/// Without any answer for so long, the server is down.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(5);
/// For a server that has been found to be slow, at most so long.
pub(super) const MAX_PATIENCE: Duration = Duration::from_secs(30);
/// A request that waits for its answer for so long, while no other is answered, makes a probe begin.
pub(super) const SUSPICION_TIME: Duration = Duration::from_secs(1);
/// Between two probes.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Between two lines in the log about errors of the same kind.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The state of the circuit. See the module.
#[derive(Debug)]
pub(super) struct Health {
    /// Something failed since the last success, or the circuit is open: the usual case needs no lock.
    has_failures: AtomicBool,
    state: Mutex<CircuitState>,
    /// Whether the circuit is open, for those who wait.
    down: watch::Sender<bool>,
    created: Instant,
    /// When any answer came last, in ms after `created`.
    heard: AtomicU64,
}

#[derive(Debug, Default)]
struct CircuitState {
    failures: u32,
    down: Option<(RemoteErrorKind, SystemTime)>,
    /// What the last probe that was answered took.
    last_probe: Duration,
    /// Whether a probe is under way that will decide.
    probing: bool,
    /// Whether something strange was seen while it was: what it finds may be older.
    again: bool,
    logged: Vec<(RemoteErrorKind, Instant)>,
}

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Single,
    /// A probe, which decides.
    Suspicious,
    /// The circuit has just opened: the caller has to probe until the server is back.
    Down,
}

/// Why somebody wants to know whether the server can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// Nothing was heard of it since then.
    Silent(Instant),
    /// It has answered as S3 would not, or with errors of its own.
    Strange,
}

/// Whether an error of this kind concerns every request.
pub(super) fn speaks_of_the_server(kind: RemoteErrorKind) -> bool {
    use RemoteErrorKind::*;
    match kind {
        Unreachable | NoCredentials | Expired | NoBucket | NotS3 | WrongRegion | ClockSkew | ServerError => {
            true
        }
        Denied | Throttled | Timeout | Changed | Damaged | Resting | Other => false,
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            has_failures: AtomicBool::default(),
            state: Mutex::default(),
            down: watch::Sender::new(false),
            created: Instant::now(),
            heard: AtomicU64::default(),
        }
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
        self.has_failures.load(Ordering::Relaxed) && *self.down.borrow()
    }

    /// Resolves when requests are refused.
    pub(super) async fn found_down(&self) {
        let mut down = self.down.subscribe();
        if down.wait_for(|down| *down).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// There was an answer, whatever it says.
    pub(super) fn heard(&self) {
        let millis = self.created.elapsed().as_millis();
        self.heard
            .store(millis.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When any answer came last, or this was made.
    pub(super) fn last_heard(&self) -> Instant {
        self.created + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    /// How long the server may be silent: a slow one is known by its probes.
    pub(super) fn patience(&self) -> Duration {
        MAX_SILENCE.max(self.lock().last_probe * 2).min(MAX_PATIENCE)
    }

    /// Whether the caller is the one to probe; [`Self::end_probe`] ends that.
    pub(super) fn begin_probe(&self, why: Suspicion) -> bool {
        let mut state = self.lock();
        let first = !std::mem::replace(&mut state.probing, true);
        state.again |= !first && why == Suspicion::Strange;
        first
    }

    /// `true` if another probe has to look at what was seen during this one.
    pub(super) fn end_probe(&self) -> bool {
        let mut state = self.lock();
        state.probing = false;
        std::mem::take(&mut state.again)
    }

    /// How long the server took for a probe.
    pub(super) fn took(&self, time: Duration) {
        self.lock().last_probe = time;
    }

    /// A request was answered as it should be. One that was sent before the circuit opened says nothing against that.
    pub(super) fn success(&self) {
        if !self.has_failures.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        if state.down.is_none() {
            state.failures = 0;
            self.has_failures.store(false, Ordering::Relaxed);
        }
    }

    /// A probe has found that the server can be used.
    pub(super) fn usable(&self) {
        if !self.has_failures.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.failures = 0;
        self.has_failures.store(false, Ordering::Relaxed);
        let was = state.down.take();
        self.down.send_replace(false);
        drop(state);
        if let Some((_, since)) = was {
            let seconds = since.elapsed().map_or(0, |time| time.as_secs());
            tracing::info!(seconds, "S3 can be used again");
        }
    }

    /// A request failed, or was not answered at all.
    pub(super) fn failure(&self, kind: RemoteErrorKind, cause: &str, answered: bool) -> Verdict {
        use RemoteErrorKind::{NotS3, ServerError, Timeout};
        let of_the_server = speaks_of_the_server(kind) || !answered && kind != Timeout;
        if !of_the_server || kind == NotS3 {
            self.complain(kind, cause);
        }
        if kind == NotS3 {
            return Verdict::Suspicious;
        }
        if !of_the_server || kind == RemoteErrorKind::Resting {
            return Verdict::Single;
        }
        let mut state = self.lock();
        self.has_failures.store(true, Ordering::Relaxed);
        state.failures = state.failures.saturating_add(1);
        if state.failures < MAX_FAILURES || state.down.is_some() {
            return Verdict::Single;
        }
        drop(state);
        match kind {
            ServerError => Verdict::Suspicious,
            _ if self.open(kind, cause) => Verdict::Down,
            _ => Verdict::Single,
        }
    }

    /// Opens the circuit; `true` unless it was open.
    pub(super) fn open(&self, kind: RemoteErrorKind, cause: &str) -> bool {
        let mut state = self.lock();
        self.has_failures.store(true, Ordering::Relaxed);
        let former = state.down;
        let since = former.map_or_else(SystemTime::now, |(_, since)| since);
        state.down = Some((kind, since));
        self.down.send_replace(true);
        drop(state);
        if former.is_none_or(|(former, _)| former != kind) {
            tracing::warn!(fault = %kind, cause, "S3 cannot be used; reads are misses until it can");
        }
        former.is_none()
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
    use RemoteErrorKind::{Damaged, Denied, NotS3, Other, ServerError, Throttled, Timeout, Unreachable};

    #[test]
    fn three_failures_in_a_row_open_the_circuit_and_a_probe_closes_it() {
        let health = Health::default();
        for _ in 0..2 {
            assert_eq!(health.failure(Unreachable, "", false), Verdict::Single);
            assert_eq!(health.failure(Other, "", false), Verdict::Single);
            health.success();
        }
        assert_eq!(health.failure(Other, "", false), Verdict::Single);
        assert_eq!(health.failure(Unreachable, "", false), Verdict::Single);
        assert!(!health.is_resting());
        assert_eq!(health.failure(Unreachable, "", false), Verdict::Down);
        assert!(health.is_resting());
        assert!(matches!(
            health.now(),
            RemoteHealth::Down {
                kind: Unreachable,
                ..
            }
        ));
        // One probe is enough.
        assert_eq!(health.failure(Unreachable, "", false), Verdict::Single);
        // A request that was under way is answered late.
        health.success();
        health.success();
        assert!(health.is_resting() && health.now() != RemoteHealth::Up);
        health.usable();
        assert!(!health.is_resting());
        assert_eq!(health.now(), RemoteHealth::Up);
        // It takes as many again.
        assert_eq!(health.failure(Unreachable, "", false), Verdict::Single);
    }

    #[test]
    fn faults_of_single_requests_never_open_it() {
        let health = Health::default();
        for kind in [Denied, Throttled, Damaged, Timeout] {
            for answered in [kind != Timeout, true] {
                for _ in 0..10 {
                    assert_eq!(health.failure(kind, "", answered), Verdict::Single, "{kind}");
                }
            }
        }
        assert_eq!(health.now(), RemoteHealth::Up);
    }

    #[test]
    fn what_may_be_one_request_is_for_a_probe_to_decide() {
        let health = Health::default();
        assert_eq!(health.failure(NotS3, "", true), Verdict::Suspicious);
        let three = [(); 3].map(|()| health.failure(ServerError, "", true));
        assert_eq!(three, [Verdict::Single, Verdict::Single, Verdict::Suspicious]);
        assert_eq!(health.now(), RemoteHealth::Up);
        let silent = Suspicion::Silent(Instant::now());
        assert!(health.begin_probe(Suspicion::Strange) && !health.begin_probe(silent));
        assert!(!health.end_probe());
        // What is seen while a probe is under way is not forgotten.
        assert!(health.begin_probe(silent) && !health.begin_probe(Suspicion::Strange));
        assert!(health.end_probe() && !health.end_probe());
        assert!(health.open(ServerError, "") && !health.open(ServerError, ""));
        assert!(health.is_resting());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_known_to_be_slow_may_be_silent_for_longer() {
        let health = Health::default();
        assert_eq!(health.patience(), MAX_SILENCE);
        health.took(Duration::from_secs(8));
        assert_eq!(health.patience(), Duration::from_secs(16));
        health.took(Duration::from_secs(80));
        assert_eq!(health.patience(), MAX_PATIENCE);
        health.took(Duration::from_millis(1));
        assert_eq!(health.patience(), MAX_SILENCE);
        tokio::time::advance(Duration::from_secs(1)).await;
        health.heard();
        assert!(health.last_heard().elapsed() < Duration::from_millis(2));
    }
}

//! All client connections: which of them idle, and how they end.
//!
//! One task checks all connections once a second and ends the idle ones. A timer for each connection, set
//! anew for every request, and a signal that every poll has to ask, cost a small read 6 % of its CPU
//! time, for limits that need no milliseconds.

mod activity;
mod common;
mod given_way;
mod heads;
mod precedence;
mod report;
mod strangers;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use activity::ConnectionState;
pub(super) use activity::{Activity, RunningRequest};
use common::Common;
use given_way::{GivenWay, Reason};
use precedence::{Found, Precedence};
pub(super) use report::ConnectionStats;
use report::Report;

use crate::store::{MIN_READ_BYTES, MIN_READ_TIME_SECONDS};
use crate::tasks;

/// A connection with a request under way that has a caller is ended when no byte has moved for this long.
const STALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// A request without a caller has so many seconds: for its body, for the keys of its issuer, and for a refusal to leave.
const STRANGER_SECONDS: u32 = 30;
/// Of the places: the part that connections of HTTP/2 may have that never had a caller, and the least.
const HTTP2_SHARE: usize = 8;
/// See [`HTTP2_SHARE`].
const HTTP2_LEAST: usize = 16;
/// How often a drain polls for connections that have become idle.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a client waits for the place of a connection that gives way, before another one does; and until it is
/// looked again whether one does, if all have callers.
const PLACE_INTERVAL: Duration = Duration::from_millis(50);

/// The connections of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<ConnectionList>);

#[derive(Debug)]
struct ConnectionList {
    common: Arc<Common>,
    keep_alive: u32,
    draining: AtomicBool,
    /// A connection that has ended stays until the next check.
    list: Mutex<Vec<Watched>>,
    precedence: Precedence,
    /// Bounds the connections that are served at once.
    places: Arc<Semaphore>,
    max_connections: usize,
    next_id: AtomicU64,
    /// Connections that were ended for others, because there was no place.
    given_way: AtomicU64,
}

/// What there may be of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    /// How long one may be idle, or take for the head of a request.
    pub(super) keep_alive: Duration,
    /// How many are served at once.
    pub(super) places: usize,
    /// How many of them one address may have that never had a caller.
    pub(super) per_address: usize,
}

/// A connection as the list knows it.
struct Watched {
    state: Weak<ConnectionState>,
    /// Whether it sends a file whose room others wait for.
    is_wanted: Box<dyn Fn() -> bool + Send + Sync>,
    /// Since when it does, and the bytes that it had sent by then.
    wanted: Option<(u32, u64)>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Watched {
    /// Whether it takes so little of what it sends that others must not wait for it any longer.
    fn is_in_the_way(&mut self, state: &ConnectionState, now: u32) -> bool {
        if !(self.is_wanted)() {
            self.wanted = None;
            return false;
        }
        let sent = state.sent.load(Relaxed);
        let (since, before) = *self.wanted.get_or_insert((now, sent));
        if now.saturating_sub(since) < MIN_READ_TIME_SECONDS {
            return false;
        }
        self.wanted = Some((now, sent));
        sent - before < MIN_READ_BYTES
    }
}

impl Connections {
    /// No connections.
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        let keep_alive = u32::try_from(limits.keep_alive.as_secs()).unwrap_or(u32::MAX);
        Self(Arc::new(ConnectionList {
            common: Common::new(limits.per_address, (limits.places / HTTP2_SHARE).max(HTTP2_LEAST)),
            keep_alive: keep_alive.max(1),
            draining: AtomicBool::new(false),
            list: Mutex::default(),
            precedence: Precedence::default(),
            places: Arc::new(Semaphore::new(limits.places)),
            max_connections: limits.places,
            next_id: AtomicU64::new(0),
            given_way: AtomicU64::new(0),
        }))
    }

    /// A place for one more connection. When there is none, the connection that has been without a caller for longest
    /// gives way. Waits while all have callers.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let places = &self.0.places;
        loop {
            if let Ok(place) = Arc::clone(places).try_acquire_owned() {
                return Some(place);
            }
            while !self.give_way() {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                place = Arc::clone(places).acquire_owned() => return place.ok(),
                () = tasks::pause(PLACE_INTERVAL) => {}
            }
        }
    }

    /// Ends the connection that has been without a caller for longest, if there is one. `false`: not found yet.
    fn give_way(&self) -> bool {
        match self.0.precedence.next() {
            Found::Connection(state) => {
                state.cut();
                self.0.given_way.fetch_add(1, Relaxed);
                true
            }
            Found::Nobody => true,
            Found::NotYet => false,
        }
    }

    /// What a new connection does.
    pub(super) fn activity(&self) -> Activity {
        let id = self.0.next_id.fetch_add(1, Relaxed);
        Activity::new(id, Arc::clone(&self.0.common))
    }

    /// Watches over the task of a connection from now on. `is_wanted`: whether it sends a file whose room others wait
    /// for.
    pub(super) fn add(
        &self,
        connection: &Activity,
        task: AbortHandle,
        is_wanted: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        connection.0.served_by(task);
        self.list().push(Watched {
            state: Arc::downgrade(&connection.0),
            is_wanted: Box::new(is_wanted),
            wanted: None,
        });
        self.0.precedence.add(&connection.0);
    }

    /// Where a connection comes from, if its address is to be held against it: that of a client, not of a proxy.
    pub(super) fn comes_from(&self, connection: &Activity, address: Option<IpAddr>) {
        if let Some(address) = address {
            connection.0.comes_from(address);
        }
    }

    /// How many there are, and of what kind.
    pub(super) fn stats(&self) -> ConnectionStats {
        let mut stats = ConnectionStats {
            limit: self.0.max_connections,
            given_way: self.given_way(),
            last_address: self.0.common.addresses.last(),
            ..ConnectionStats::default()
        };
        for watched in self.list().iter() {
            if let Some(state) = watched.state.upgrade() {
                stats.count(state.has_caller(), state.is_known());
            }
        }
        stats
    }

    fn given_way(&self) -> GivenWay {
        let common = &self.0.common;
        let ended = |reason: &Reason| match reason {
            Reason::Full => self.0.given_way.load(Relaxed),
            Reason::Address => common.addresses.given_way(),
            Reason::Memory => common.heads.refused(),
            Reason::Http2 => common.http2.given_way(),
            Reason::Requests => common.crowd_ended.load(Relaxed),
        };
        let mut all = GivenWay::default();
        for (reason, count) in Reason::ALL.iter().zip(&mut all) {
            *count = ended(reason);
        }
        all
    }

    /// Whether answers must tell their clients to send nothing more on this connection.
    pub(super) fn is_draining(&self) -> bool {
        self.0.draining.load(Relaxed)
    }

    /// Ends idle connections, once a second, until `stopping`, and says when places run out.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let mut report = Report::default();
        let look = |now| {
            let places = (self.0.places.available_permits(), self.0.max_connections);
            report.write(now, places, self.given_way(), || self.stats());
        };
        self.check_each_second(stopping, look).await;
    }

    /// The same without a word.
    pub(super) async fn run_silently(self, stopping: CancellationToken) {
        self.check_each_second(stopping, |_| ()).await;
    }

    async fn check_each_second(&self, stopping: CancellationToken, mut look: impl FnMut(u32)) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        // After a stall of the process no time has passed for its clients: they could not be heard.
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = seconds.tick() => {
                    let now = self.0.common.clock.fetch_add(1, Relaxed) + 1;
                    self.end_idle(now);
                    self.end_slow(now);
                    self.0.precedence.tidy(self.list().len());
                    look(now);
                }
            }
        }
    }

    /// Ends idle connections at once (HTTP/2: with GOAWAY) and the others when their requests are done. Returns when all
    /// have ended; a caller that waits no longer calls [`Connections::cut`].
    pub(super) async fn drain(&self) {
        self.0.draining.store(true, Relaxed);
        let mut polls = tokio::time::interval(DRAIN_POLL_INTERVAL);
        loop {
            polls.tick().await;
            let now = self.0.common.now();
            self.end_if(|state| !state.is_going_away(now) && !state.is_busy());
            if self.list().is_empty() {
                return;
            }
        }
    }

    /// Ends all connections. Returns how many there were.
    pub(super) fn cut(&self) -> usize {
        let count = self.list().len();
        self.end_if(|_| true);
        count
    }

    fn end_idle(&self, now: u32) {
        self.end_if(|state| {
            // The limit first: a request that begins in between would be judged by the silence before it.
            let limit = self.limit(state);
            state.idle(now) > limit || state.has_late_head(now)
        });
    }

    /// Ends those that hardly read a file that has no name any more and keeps its room from others.
    fn end_slow(&self, now: u32) {
        for watched in self.list().iter_mut() {
            if let Some(state) = watched.state.upgrade()
                && watched.is_in_the_way(&state, now)
            {
                tracing::info!(
                    "ended a connection that hardly read: others wait for the room of what it reads"
                );
                state.cut();
            }
        }
    }

    /// Aborts the connections for which `over` is true, and forgets those that have ended.
    fn end_if(&self, over: impl Fn(&ConnectionState) -> bool) {
        self.list().retain(|watched| {
            let state = watched.state.upgrade();
            if let Some(state) = state.as_deref().filter(|state| over(state)) {
                state.cut();
            }
            state.is_some()
        });
    }

    fn limit(&self, state: &ConnectionState) -> u32 {
        match (state.has_caller(), state.is_busy()) {
            (true, _) => self.0.keep_alive.max(STALL_TIMEOUT.as_secs() as u32),
            // However long others may idle: a body that does not come holds more than an idle connection.
            (false, true) => STRANGER_SECONDS,
            (false, false) => self.0.keep_alive,
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! What one connection does, as its stream and its requests tell.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio::task::AbortHandle;

use super::common::{Common, InCrowd, TooManyRequests};
use super::heads::Head;
use super::strangers::{Stranger, TaskCell, network};
use crate::cache::load::RequestSlot;
use crate::protocol::call::{Acceptance, CallerCount, ClientWatch};
use crate::server::client_look::ClientLook;
use crate::sys::Peer;

/// Seconds that the drain leaves an idle HTTP/2 connection for its GOAWAY (RFC 9113, section 6.8). After a round
/// trip the connection ends by itself.
const GOAWAY_SECONDS: u32 = 1;

/// One request with a caller, in [`ConnectionState::requests`].
const CALLER: u64 = 1 << 32;

/// What one connection does; shared by its stream and its requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Activity(pub(super) Arc<ConnectionState>);

#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Ascends in the order in which connections come.
    pub(super) id: u64,
    pub(super) common: Arc<Common>,
    head: Head,
    pub(super) last: AtomicU32,
    /// Requests under way in the lower half, and in the upper one those of them that have a caller. One number, so that
    /// the end of a request changes both at once.
    requests: AtomicU64,
    /// When a request with a caller ended last, or when the connection came.
    lonely_since: AtomicU32,
    /// Whether any request had a caller.
    is_known: AtomicBool,
    /// Bytes of files.
    pub(super) sent: AtomicU64,
    /// Set for HTTP/2 only. Its client may have sent requests that the server will never read, and GOAWAY says
    /// which. An HTTP/1 client learns the end from `Connection: close`.
    goaway: OnceLock<Box<GoAway>>,
    client: ClientLook,
    task: TaskCell,
    /// It was ended because strangers have too many requests under way.
    is_cut_for_crowd: AtomicBool,
    /// Among which it counts, as long as it has had no caller.
    stranger: Mutex<StrangerPlaces>,
}

/// See [`ConnectionState::stranger`].
#[derive(Debug, Default)]
struct StrangerPlaces {
    address: Option<Stranger<IpAddr>>,
    http2: Option<Stranger<()>>,
}

/// The request to an HTTP/2 connection to end, and the task that must notice it.
#[derive(Debug, Default)]
struct GoAway {
    requested: AtomicBool,
    task: AtomicWaker,
}

/// How long a connection has been without a caller, to be compared with others: the least gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loneliness {
    /// In seconds of the clock.
    pub(super) since: u32,
    /// Of one second, those that never had a caller come first, and among them the oldest.
    is_known: bool,
    id: u64,
}

/// A request under way.
#[derive(Debug)]
pub struct RunningRequest {
    activity: Activity,
    has_caller: bool,
    _crowd: Option<InCrowd>,
    /// Its place among the requests of its tenant, if these are bounded.
    slot: Option<Arc<RequestSlot>>,
}

impl ConnectionState {
    fn touch(&self) {
        self.last.store(self.common.now(), Relaxed);
    }

    /// Whether the head that it sends takes too long.
    pub(super) fn has_late_head(&self, now: u32) -> bool {
        !self.is_busy() && self.head.is_late(now)
    }

    pub(super) fn idle(&self, now: u32) -> u32 {
        now.saturating_sub(self.last.load(Relaxed))
    }

    /// Whether requests are under way.
    pub(super) fn is_busy(&self) -> bool {
        self.requests.load(Acquire) > 0
    }

    /// Whether one of them has a caller.
    pub(super) fn has_caller(&self) -> bool {
        self.requests.load(Relaxed) >= CALLER
    }

    /// Whether a request ever had one.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Relaxed)
    }

    pub(super) fn loneliness(&self) -> Loneliness {
        // One that has a caller is not lonely before the next second.
        let soonest = match self.has_caller() {
            true => self.common.now() + 1,
            false => 0,
        };
        Loneliness {
            since: self.lonely_since.load(Relaxed).max(soonest),
            is_known: self.is_known(),
            id: self.id,
        }
    }

    /// The task that serves it.
    pub(super) fn served_by(&self, task: AbortHandle) {
        self.task.get_or_init(|| task);
    }

    /// Counts the connection among those of an address, of which there may be some without a caller.
    pub(super) fn comes_from(&self, address: IpAddr) {
        let address = self.common.addresses.enter(network(address), self.id, &self.task);
        self.stranger().address = Some(address);
        if self.is_known() {
            // Its first request was faster.
            self.is_no_stranger();
        }
    }

    fn is_no_stranger(&self) {
        let places = std::mem::take(&mut *self.stranger());
        // The others are not touched under the lock.
        drop(places);
    }

    /// Counts the connection among those of HTTP/2, of which there may be some without a caller.
    fn is_http2(&self) {
        let http2 = self.common.http2.enter((), self.id, &self.task);
        self.stranger().http2 = Some(http2);
    }

    fn stranger(&self) -> MutexGuard<'_, StrangerPlaces> {
        self.stranger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection: nothing more is written.
    pub(super) fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Asks an HTTP/2 connection to end. `true` while it may still send its GOAWAY.
    pub(super) fn is_going_away(&self, now: u32) -> bool {
        let Some(goaway) = self.goaway.get() else {
            return false;
        };
        if !goaway.requested.swap(true, Relaxed) {
            self.last.store(now, Relaxed);
        }
        // At every poll: at the last one the task may not have registered its waker yet.
        goaway.task.wake();
        self.idle(now) <= GOAWAY_SECONDS
    }

    fn end(&self, ended: u64) {
        if ended >= CALLER {
            // Before it ends: in between, the connection must not look as lonely as it was before its first request.
            self.lonely_since.store(self.common.now(), Relaxed);
        }
        self.requests.fetch_sub(ended, Relaxed);
    }
}

impl Drop for ConnectionState {
    fn drop(&mut self) {
        self.head.end(&self.common.heads);
    }
}

impl CallerCount for ConnectionState {
    fn accepted(&self) {
        self.requests.fetch_add(CALLER, Relaxed);
        if !self.is_known() {
            self.is_known.store(true, Relaxed);
            self.is_no_stranger();
        }
    }

    fn done(&self) {
        self.end(CALLER);
    }
}

impl Activity {
    /// A connection that was accepted now.
    pub(super) fn new(id: u64, common: Arc<Common>) -> Self {
        let now = common.now();
        Self(Arc::new(ConnectionState {
            id,
            common,
            head: Head::default(),
            last: AtomicU32::new(now),
            requests: AtomicU64::new(0),
            lonely_since: AtomicU32::new(now),
            is_known: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            goaway: OnceLock::new(),
            client: ClientLook::default(),
            task: TaskCell::default(),
            is_cut_for_crowd: AtomicBool::new(false),
            stranger: Mutex::default(),
        }))
    }

    /// Notes that bytes have moved. It counts only during a request with a caller: others must not hold a connection for
    /// ever, byte by byte.
    pub(in crate::server) fn touch(&self) {
        if self.0.has_caller() {
            self.0.touch();
        }
    }

    /// Notes that these bytes have come.
    ///
    /// # Errors
    /// They are more of a head than there is memory for.
    pub(in crate::server) fn heard(&self, bytes: &[u8]) -> io::Result<()> {
        let state = &*self.0;
        if state.head.begins_http2(bytes) {
            state.is_http2();
        }
        match state.is_busy() {
            true => Ok(()),
            false => state.head.grow(bytes, state.common.now(), &state.common.heads),
        }
    }

    /// Notes that bytes of a file have moved.
    pub(in crate::server) fn sent(&self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Relaxed);
        self.touch();
    }

    /// What requests can learn of the client.
    pub(in crate::server) fn client(&self) -> ClientWatch {
        self.0.client.watch()
    }

    /// Has a look at the client if a request wants to know of it.
    pub(in crate::server) fn look_at_client(&self, peer: impl FnOnce() -> Peer) {
        self.0.client.look(self.0.common.now(), peer);
    }

    /// The connection is HTTP/2: its end begins with a GOAWAY.
    pub(in crate::server) fn mark_http2(&self) {
        self.0.goaway.get_or_init(Box::default);
    }

    /// Whether the drain has asked an HTTP/2 connection to end. The task of `context` is woken when it does.
    pub(in crate::server) fn must_end(&self, context: &Context<'_>) -> bool {
        let Some(goaway) = self.0.goaway.get() else {
            return false;
        };
        // In this order: a request that comes in between wakes the task.
        goaway.task.register(context.waker());
        goaway.requested.load(Relaxed)
    }

    /// Whether requests are under way.
    #[cfg(test)]
    pub(in crate::server) fn is_busy(&self) -> bool {
        self.0.is_busy()
    }

    /// A request has come.
    pub(in crate::server) fn begin(&self) -> RunningRequest {
        // First: a busy connection has another limit than one that idles.
        self.0.touch();
        let others = self.0.requests.fetch_add(1, Release) % CALLER;
        self.0.head.end(&self.0.common.heads);
        RunningRequest {
            activity: self.clone(),
            has_caller: false,
            _crowd: self.join_crowd(others),
            slot: None,
        }
    }

    /// A request has come that may not be interrupted, although nobody needs a token for it.
    pub(in crate::server) fn begin_known(&self) -> RunningRequest {
        self.0.accepted();
        let mut running = self.begin();
        running.has_caller = true;
        running
    }

    /// Ends the connection if strangers have too many requests under way.
    fn join_crowd(&self, others: u64) -> Option<InCrowd> {
        if self.0.is_known() {
            return None;
        }
        self.0
            .common
            .join_crowd(others)
            .unwrap_or_else(|TooManyRequests| {
                // Of HTTP/2, more requests may come before the end.
                if !self.0.is_cut_for_crowd.swap(true, Relaxed) {
                    self.0.common.crowd_ended.fetch_add(1, Relaxed);
                }
                self.0.cut();
                None
            })
    }

    /// By which a request says that its caller is known.
    pub(in crate::server) fn acceptance(&self) -> Acceptance {
        let connection: Arc<ConnectionState> = Arc::clone(&self.0);
        Acceptance::new(connection)
    }
}

impl RunningRequest {
    /// What is known of the caller when the request is answered.
    pub(in crate::server) fn answered(&mut self, acceptance: Option<Acceptance>) {
        if let Some(acceptance) = acceptance {
            (self.has_caller, self.slot) = acceptance.hand_over();
        }
    }

    fn counted(&self) -> u64 {
        if self.has_caller { CALLER + 1 } else { 1 }
    }
}

/// The request is under way until the last clone is gone.
impl Clone for RunningRequest {
    fn clone(&self) -> Self {
        self.activity.0.requests.fetch_add(self.counted(), Relaxed);
        Self {
            activity: self.activity.clone(),
            has_caller: self.has_caller,
            _crowd: None,
            slot: self.slot.clone(),
        }
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.activity.0.touch();
        self.activity.0.end(self.counted());
    }
}

//! What one connection does, as its stream and its requests tell.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Context;

use futures_util::task::AtomicWaker;

use crate::protocol::call::ClientWatch;
use crate::server::client_look::ClientLook;
use crate::sys::Peer;

/// Seconds that the drain leaves an idle HTTP/2 connection for its GOAWAY (RFC 9113, section 6.8). After a round
/// trip the connection ends by itself.
const GOAWAY_SECONDS: u32 = 1;

/// What one connection does; shared by its stream and its requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Activity(pub(super) Arc<ConnectionState>);

#[derive(Debug)]
pub(super) struct ConnectionState {
    pub(super) clock: Arc<AtomicU32>,
    pub(super) last: AtomicU32,
    pub(super) requests: AtomicU32,
    /// Bytes of files.
    pub(super) sent: AtomicU64,
    /// Set for HTTP/2 only. Its client may have sent requests that the server will never read, and GOAWAY says
    /// which. An HTTP/1 client learns the end from `Connection: close`.
    goaway: OnceLock<Box<GoAway>>,
    client: ClientLook,
}

/// The request to an HTTP/2 connection to end, and the task that must notice it.
#[derive(Debug, Default)]
struct GoAway {
    requested: AtomicBool,
    task: AtomicWaker,
}

/// A request under way.
#[derive(Debug)]
pub struct RunningRequest(Activity);

impl ConnectionState {
    pub(super) fn idle(&self, now: u32) -> u32 {
        now.saturating_sub(self.last.load(Relaxed))
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
}

impl Activity {
    /// A connection that was accepted now.
    pub(super) fn new(clock: Arc<AtomicU32>) -> Self {
        let last = AtomicU32::new(clock.load(Relaxed));
        Self(Arc::new(ConnectionState {
            clock,
            last,
            requests: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            goaway: OnceLock::new(),
            client: ClientLook::default(),
        }))
    }

    /// Notes that bytes have moved. It counts only during a request: a client that sends its head byte by byte must
    /// not hold a connection for ever.
    pub(in crate::server) fn touch(&self) {
        if self.0.requests.load(Relaxed) > 0 {
            self.0.last.store(self.0.clock.load(Relaxed), Relaxed);
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
        self.0.client.look(self.0.clock.load(Relaxed), peer);
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
        self.0.requests.load(Relaxed) > 0
    }

    /// A request has come.
    pub(in crate::server) fn begin(&self) -> RunningRequest {
        self.0.requests.fetch_add(1, Relaxed);
        self.touch();
        RunningRequest(self.clone())
    }
}

/// The request is under way until the last clone is gone.
impl Clone for RunningRequest {
    fn clone(&self) -> Self {
        self.0.0.requests.fetch_add(1, Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.touch();
        self.0.0.requests.fetch_sub(1, Relaxed);
    }
}

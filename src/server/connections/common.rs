//! What all connections have in common.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::heads::HeadRoom;
use super::strangers::Strangers;

/// See the module.
#[derive(Debug)]
pub(super) struct Common {
    /// Seconds since the start, as of the last check.
    pub(super) clock: AtomicU32,
    /// Connections that never had a caller, by address.
    pub(super) addresses: Arc<Strangers<IpAddr>>,
    /// Connections of HTTP/2 that never had a caller: each has some buffers, whatever it does.
    pub(super) http2: Arc<Strangers<()>>,
    /// Requests of connections that never had a caller, beyond the first [`FREE_REQUESTS`] of each.
    crowd: AtomicUsize,
    /// Connections that were ended because there were too many such requests.
    pub(super) crowd_ended: AtomicU64,
    pub(super) heads: HeadRoom,
}

/// Requests under way that a connection without a caller has in any case.
const FREE_REQUESTS: u64 = 8;
/// How many more all such connections may have. A refusal that its client does not read takes 3 KiB.
const MAX_CROWD: usize = 4096;

/// A request in the crowd, until this is dropped.
#[derive(Debug)]
pub(super) struct InCrowd(Arc<Common>);

impl Common {
    pub(super) fn new(per_address: usize, http2: usize) -> Arc<Self> {
        Arc::new(Self {
            clock: AtomicU32::new(0),
            addresses: Strangers::new(per_address),
            http2: Strangers::new(http2),
            crowd: AtomicUsize::new(0),
            crowd_ended: AtomicU64::new(0),
            heads: HeadRoom::default(),
        })
    }

    /// Counts a request of a connection that never had a caller and has `others` under way.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn join_crowd(self: &Arc<Self>, others: u64) -> Result<Option<InCrowd>, TooManyRequests> {
        if others < FREE_REQUESTS {
            return Ok(None);
        }
        let place = InCrowd(Arc::clone(self));
        match self.crowd.fetch_add(1, Relaxed) < MAX_CROWD {
            true => Ok(Some(place)),
            false => Err(TooManyRequests),
        }
    }

    pub(super) fn now(&self) -> u32 {
        self.clock.load(Relaxed)
    }
}

impl Drop for InCrowd {
    fn drop(&mut self) {
        self.0.crowd.fetch_sub(1, Relaxed);
    }
}

/// See [`Common::join_crowd`].
#[derive(Debug)]
pub(super) struct TooManyRequests;

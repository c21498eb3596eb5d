//! What all connections have in common.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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
    pub(super) heads: HeadRoom,
}

impl Common {
    pub(super) fn new(per_address: usize, http2: usize) -> Arc<Self> {
        Arc::new(Self {
            clock: AtomicU32::new(0),
            addresses: Strangers::new(per_address),
            http2: Strangers::new(http2),
            heads: HeadRoom::default(),
        })
    }

    pub(super) fn now(&self) -> u32 {
        self.clock.load(Relaxed)
    }
}

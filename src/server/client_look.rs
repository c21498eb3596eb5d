//! Whether the client of a connection has left, for the requests that want to know ([`ClientWatch`]).

use std::sync::OnceLock;

use crate::protocol::call::ClientWatch;
use crate::sys::Peer;

/// A client that has ended its side gets an answer that takes no longer than this. Most of them have left, which
/// looks the same.
const HALF_CLOSED_SECONDS: u32 = 3;

/// See the module. Empty until a request comes that may take long.
#[derive(Debug, Default)]
pub(super) struct ClientLook {
    watch: OnceLock<ClientWatch>,
    /// Since when the client has been seen to send nothing more, in seconds of the clock of connections.
    half_closed: OnceLock<u32>,
}

impl ClientLook {
    /// What requests are told.
    pub(super) fn watch(&self) -> ClientWatch {
        self.watch.get_or_init(ClientWatch::default).clone()
    }

    /// Looks, if a request wants to know.
    pub(super) fn look(&self, now: u32, peer: impl FnOnce() -> Peer) {
        let Some(watch) = self.watch.get().filter(|watch| watch.is_asked()) else {
            return;
        };
        let has_left = match peer() {
            Peer::There => false,
            Peer::HalfClosed => {
                let since = *self.half_closed.get_or_init(|| now);
                now.saturating_sub(since) > HALF_CLOSED_SECONDS
            }
            Peer::Gone => true,
        };
        if has_left {
            watch.leave();
        }
    }
}

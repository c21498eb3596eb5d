//! Whether the client of a request that takes long is still there.
//!
//! Nothing of HTTP/1 is read while a request is answered, so a client that has left is found out by the next write
//! ([`crate::server`]). That is too late for a request that does much work before it writes anything. HTTP/2 says that
//! a stream ends, and its request is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::error::Class;
use crate::protocol::http_error::HttpError;

/// Between two looks at the connection.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What a connection tells its requests of its client. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ClientWatch(Arc<WatchState>);

#[derive(Debug, Default)]
struct WatchState {
    /// Requests that want to know.
    asking: AtomicUsize,
    gone: CancellationToken,
}

/// A request that wants to know, until this is dropped.
struct Asking<'w>(&'w AtomicUsize);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ClientWatch {
    /// Whether a request wants to know: only then a connection looks, whenever it is polled.
    pub fn is_asked(&self) -> bool {
        self.0.asking.load(Ordering::Relaxed) > 0
    }

    /// The client has left.
    pub fn leave(&self) {
        self.0.gone.cancel();
    }

    /// Resolves when the client has left.
    async fn left(&self) {
        self.0.asking.fetch_add(1, Ordering::Relaxed);
        let _asking = Asking(&self.0.asking);
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // A tick has the connection polled, and the connection looks then.
            tokio::select! {
                () = self.0.gone.cancelled() => return,
                _ = looks.tick() => {}
            }
        }
    }
}

/// Does work that takes long, as long as the client waits for it. `client`: [`super::Call::client`].
///
/// # Errors
/// The client has left. Nobody gets the answer.
pub async fn while_connected<T>(
    client: Option<&ClientWatch>,
    work: impl Future<Output = T>,
) -> Result<T, HttpError> {
    let Some(client) = client else {
        return Ok(work.await);
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = client.left() => Err(HttpError::new(Class::Truncated, "the client has left")),
    }
}

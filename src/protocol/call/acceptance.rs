//! Whether a request has a caller, as its connection must know it: one without gives way to others when there are not
//! places for all.

use std::fmt::Debug;
use std::sync::Arc;

use crate::cache::load::RequestSlot;

/// A connection, which counts those of its requests that have a caller.
pub trait CallerCount: Debug + Send + Sync {
    /// The token, link or statement of a request was good.
    fn accepted(&self);

    /// A request whose token was good is over.
    fn done(&self);
}

/// One request among those of its connection. Is over when it is dropped.
#[derive(Debug)]
pub struct Acceptance {
    connection: Arc<dyn CallerCount>,
    is_accepted: bool,
    slot: Option<Arc<RequestSlot>>,
}

impl Acceptance {
    /// A request that has come, and whose caller is not known.
    pub fn new(connection: Arc<dyn CallerCount>) -> Self {
        Self {
            connection,
            is_accepted: false,
            slot: None,
        }
    }

    /// The caller is known now.
    pub(super) fn accept(&mut self) {
        if !std::mem::replace(&mut self.is_accepted, true) {
            self.connection.accepted();
        }
    }

    /// Keeps the place of the request among those of its tenant.
    pub(super) fn hold(&mut self, slot: Option<RequestSlot>) {
        self.slot = slot.map(Arc::new);
    }

    /// Whether there is a caller, and the place of the request. Who asks says from now on when the request is over.
    pub fn hand_over(mut self) -> (bool, Option<Arc<RequestSlot>>) {
        (std::mem::take(&mut self.is_accepted), self.slot.take())
    }
}

impl Drop for Acceptance {
    fn drop(&mut self) {
        if self.is_accepted {
            self.connection.done();
        }
    }
}

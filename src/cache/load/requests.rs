//! Requests at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::rate::WriteRate;
use crate::store::tenant_rules::TenantBound;
use crate::store::{Error, Result};

/// Most requests take less.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What one tenant has under way.
#[derive(Debug, Default)]
pub(super) struct TenantLoad {
    requests: AtomicUsize,
    written: Mutex<WriteRate>,
}

impl TenantLoad {
    pub(super) fn written(&self) -> MutexGuard<'_, WriteRate> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it would begin anew as it is.
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && self.written().is_at_rest(now)
    }
}

/// The place of one request. It is free again when this is dropped, when the answer has left.
#[derive(Debug)]
pub struct RequestSlot(Arc<TenantLoad>);

impl RequestSlot {
    pub(super) fn take(load: Arc<TenantLoad>, most: usize) -> Result<Self> {
        let one_more = |requests: usize| (requests < most).then_some(requests + 1);
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        match load.requests.fetch_update(order.0, order.1, one_more) {
            Ok(_) => Ok(Self(load)),
            Err(_) => Err(Error::OverBound {
                bound: TenantBound::RequestsInFlight,
                retry_after: RETRY_AFTER,
            }),
        }
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

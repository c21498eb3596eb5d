//! The permits of `s3.max_concurrency`, which tenants take in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::store::turns::{Asker, FairPermit, FairSemaphore};

/// The right to one request, and to the stream of its answer.
#[derive(Debug)]
pub(super) struct Permit {
    _one: FairPermit,
    /// Of those that bodies may have on their way out.
    _sending: Option<FairPermit>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Permits {
    all: Arc<FairSemaphore>,
    /// Three quarters: many parts on their way out must not keep readers waiting.
    sending: Arc<FairSemaphore>,
    /// Those who wait for a permit.
    waiting: AtomicUsize,
}

/// One who waits.
pub(super) struct Waiting<'p>(&'p AtomicUsize);

impl<'p> Waiting<'p> {
    fn new(count: &'p AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self {
            all: FairSemaphore::new(count),
            sending: FairSemaphore::new((count - count / 4).max(1)),
            waiting: AtomicUsize::default(),
        }
    }

    /// How many are taken, and how many there are.
    pub(super) fn figures(&self) -> (usize, usize) {
        self.all.figures()
    }

    /// Somebody waits until this is dropped.
    pub(super) fn waiting(&self) -> Waiting<'_> {
        Waiting::new(&self.waiting)
    }

    /// Whether somebody waits for a permit.
    pub(super) fn are_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(super) async fn one(&self, asker: Asker) -> Permit {
        Permit {
            _one: self.all.acquire(asker).await,
            _sending: None,
        }
    }

    pub(super) async fn one_to_send(&self, asker: Asker) -> Permit {
        let sending = self.sending.acquire(asker).await;
        Permit {
            _one: self.all.acquire(asker).await,
            _sending: Some(sending),
        }
    }
}

/// Why a permit did not come.
pub(super) const ALL_TAKEN: &str = "all of s3.max_concurrency requests are under way";

//! The permits of `s3.max_concurrency`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The right to one request, and to the stream of its answer.
#[derive(Debug)]
pub(super) struct Permit {
    _one: OwnedSemaphorePermit,
    /// Of those that bodies may have on their way out.
    _sending: Option<OwnedSemaphorePermit>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Permits {
    all: Arc<Semaphore>,
    /// Three quarters: many parts on their way out must not keep readers waiting.
    sending: Arc<Semaphore>,
    count: usize,
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
            all: Arc::new(Semaphore::new(count)),
            sending: Arc::new(Semaphore::new((count - count / 4).max(1))),
            count,
            waiting: AtomicUsize::default(),
        }
    }

    /// How many are taken, and how many there are.
    pub(super) fn figures(&self) -> (usize, usize) {
        let used = self.count.saturating_sub(self.all.available_permits());
        (used, self.count)
    }

    /// Somebody waits until this is dropped.
    pub(super) fn waiting(&self) -> Waiting<'_> {
        Waiting::new(&self.waiting)
    }

    /// Whether somebody waits for a permit.
    pub(super) fn are_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(super) async fn one(&self) -> Result<Permit, AcquireError> {
        Ok(Permit {
            _one: Arc::clone(&self.all).acquire_owned().await?,
            _sending: None,
        })
    }

    pub(super) async fn one_to_send(&self) -> Result<Permit, AcquireError> {
        let sending = Arc::clone(&self.sending).acquire_owned().await?;
        Ok(Permit {
            _one: Arc::clone(&self.all).acquire_owned().await?,
            _sending: Some(sending),
        })
    }
}

/// Why a permit did not come.
pub(super) const ALL_TAKEN: &str = "all of s3.max_concurrency requests are under way";

//! Permits that tenants take in turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Asker;
use super::line::TurnLine;

/// See [`super`]. It has no end: whoever waits gets a permit, or leaves.
#[derive(Debug)]
pub(crate) struct FairSemaphore {
    line: Mutex<TurnLine<oneshot::Sender<FairPermit>>>,
    count: usize,
}

/// One permit; given to the next one when it is dropped.
#[derive(Debug)]
pub(crate) struct FairPermit {
    /// `None` once somebody else gives it back.
    semaphore: Option<Arc<FairSemaphore>>,
    asker: Asker,
}

impl FairSemaphore {
    /// With so many permits.
    pub(crate) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            line: Mutex::new(TurnLine::new(count)),
            count,
        })
    }

    /// How many permits are taken, and how many there are.
    pub(crate) fn figures(&self) -> (usize, usize) {
        (self.count.saturating_sub(self.line().free()), self.count)
    }

    /// Waits for a permit. Dropped before, the place in the line is given up.
    pub(crate) async fn acquire(self: &Arc<Self>, asker: Asker) -> FairPermit {
        let mut waiting = {
            let mut line = self.line();
            if line.take(asker) {
                drop(line);
                return self.permit(asker);
            }
            let (grant, granted) = oneshot::channel();
            let number = line.wait(asker, grant);
            Waiting {
                semaphore: self,
                asker,
                number,
                granted,
            }
        };
        match (&mut waiting.granted).await {
            Ok(permit) => permit,
            // Nobody drops the other end before it has sent.
            Err(_) => std::future::pending().await,
        }
    }

    fn permit(self: &Arc<Self>, asker: Asker) -> FairPermit {
        FairPermit {
            semaphore: Some(Arc::clone(self)),
            asker,
        }
    }

    /// Who is next may have left meanwhile: then the one after it is.
    fn give_back(self: &Arc<Self>, mut asker: Asker) {
        loop {
            // A statement of its own: the lock is free before a permit is sent or dropped.
            let next = self.line().give_back(asker);
            let Some((to, grant)) = next else { return };
            match grant.send(self.permit(to)) {
                Ok(()) => return,
                Err(mut unclaimed) => {
                    unclaimed.semaphore = None;
                    asker = to;
                }
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, TurnLine<oneshot::Sender<FairPermit>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        if let Some(semaphore) = self.semaphore.take() {
            semaphore.give_back(self.asker);
        }
    }
}

/// A place in the line. A permit that came too late is in `granted`, and goes to the next one with it.
struct Waiting<'a> {
    semaphore: &'a Arc<FairSemaphore>,
    asker: Asker,
    number: u64,
    granted: oneshot::Receiver<FairPermit>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.semaphore.line().leave(self.asker, self.number);
        drop(left);
    }
}

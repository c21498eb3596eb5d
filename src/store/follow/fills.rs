//! The fetches that are under way, one for each entry.
//!
//! All readers get what a fetch found as soon as its source has answered. A change of the entry makes the
//! fill *outdated*: no reader joins it any more, and it publishes nothing. Readers that follow it already read on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;

use crate::store::source::SourceOpen;
use crate::store::{Digest, Entry, Error, RemoteErrorKind, Result};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fills(Mutex<HashMap<Digest, Arc<Fill>>>);

/// The fetch of one entry.
#[derive(Debug)]
pub(crate) struct Fill {
    state: watch::Sender<FillState>,
    /// The source was asked at this time or later.
    pub(crate) begun: Instant,
    /// When what was found was last known to be what the source has.
    pub(crate) current_at: AsyncMutex<Instant>,
    outdated: AtomicBool,
}

/// What a fill knows.
#[derive(Debug, Clone)]
pub(crate) enum FillState {
    /// The source was asked.
    Asking,
    /// There is no such entry.
    Missing,
    /// Errors cannot be cloned: what was tried, the kind of error, the text.
    Failed(&'static str, RemoteErrorKind, String),
    /// In memory, or a file that grows.
    Found(Entry),
    /// The disk has no room: every reader streams for itself, the first one what was opened already.
    Streamed(Arc<Mutex<Option<SourceOpen>>>),
    /// The server stops.
    Stopping,
}

impl FillState {
    pub(crate) fn failed(error: Error) -> Self {
        match error {
            Error::Stopping => Self::Stopping,
            Error::Remote {
                operation,
                kind,
                source,
            } => Self::Failed(operation, kind, source.to_string()),
            other => Self::Failed("fetching an entry", RemoteErrorKind::Other, other.to_string()),
        }
    }

    pub(crate) fn streamed(open: SourceOpen) -> Self {
        Self::Streamed(Arc::new(Mutex::new(Some(open))))
    }
}

impl Fills {
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The fill of an entry, and whether the caller has to lead it.
    pub(crate) fn join(&self, digest: &Digest) -> (Arc<Fill>, bool) {
        let mut map = self.lock();
        if let Some(fill) = map.get(digest) {
            return (Arc::clone(fill), false);
        }
        let begun = Instant::now();
        let fill = Arc::new(Fill {
            state: watch::Sender::new(FillState::Asking),
            begun,
            current_at: AsyncMutex::new(begun),
            outdated: AtomicBool::new(false),
        });
        map.insert(*digest, Arc::clone(&fill));
        (fill, true)
    }

    /// No reader joins this fill any more.
    pub(crate) fn end(&self, digest: &Digest, fill: &Arc<Fill>) {
        let mut map = self.lock();
        if map.get(digest).is_some_and(|other| Arc::ptr_eq(other, fill)) {
            map.remove(digest);
        }
    }

    /// For the task that fetches: the fill ends with the guard, and whoever waits still is told.
    pub(crate) fn lead(&self, digest: &Digest, fill: &Arc<Fill>) -> FillLead<'_> {
        FillLead {
            fills: self,
            digest: *digest,
            fill: Arc::clone(fill),
        }
    }

    /// The entry was changed: what is being fetched may be the former version.
    pub(crate) fn outdate(&self, digest: &Digest) {
        if let Some(fill) = self.lock().remove(digest) {
            fill.outdated.store(true, Ordering::SeqCst);
        }
    }

    /// The same, if it is this fill that found the former version.
    pub(crate) fn outdate_one(&self, digest: &Digest, fill: &Arc<Fill>) {
        fill.outdated.store(true, Ordering::SeqCst);
        self.end(digest, fill);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Fill>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Fills::lead`].
#[derive(Debug)]
pub(crate) struct FillLead<'f> {
    fills: &'f Fills,
    digest: Digest,
    fill: Arc<Fill>,
}

impl Drop for FillLead<'_> {
    fn drop(&mut self) {
        self.fills.end(&self.digest, &self.fill);
        // Counts only if nothing was told before.
        let text = "the fetch has ended without an answer".to_owned();
        let kind = RemoteErrorKind::Other;
        self.fill.tell(FillState::Failed("fetching an entry", kind, text));
    }
}

impl Fill {
    /// Tells all readers. Only the first call counts.
    pub(crate) fn tell(&self, state: FillState) {
        self.state.send_if_modified(|now| {
            let first = matches!(now, FillState::Asking);
            if first {
                *now = state;
            }
            first
        });
    }

    /// What the source said, as soon as it has.
    pub(crate) async fn told(&self) -> Result<FillState> {
        let mut state = self.state.subscribe();
        let known = state.wait_for(|state| !matches!(state, FillState::Asking)).await;
        Ok(known.map_err(|_| Error::Stopping)?.clone())
    }

    /// Whether the entry was changed since this fill began.
    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fetch_that_ends_by_a_panic_leaves_no_reader_waiting() {
        let fills = Fills::default();
        let digest = Digest::new([1; 32]);
        let (fill, leads) = fills.join(&digest);
        let (joined, joins) = fills.join(&digest);
        assert!(leads && !joins);
        let fetching = std::panic::AssertUnwindSafe(|| {
            let _lead = fills.lead(&digest, &fill);
            panic!("a fault in the fetch");
        });
        std::panic::catch_unwind(fetching).expect_err("a panic");
        let told = joined.told().await.expect("told");
        assert!(matches!(told, FillState::Failed(..)));
        assert_eq!(fills.len(), 0);
    }
}

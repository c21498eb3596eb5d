//! Fills: one fetch per key, whoever waits.
//!
//! A fill belongs to the server: it goes on when its first reader leaves, and ends with the server. What it
//! found is told to all readers as soon as the far tier has said it; large entries are followed while they
//! arrive ([`growing`]). A change of the entry makes the fill *outdated*: nobody joins it any more, and it
//! publishes nothing; who reads already, reads on.

mod growing;
mod lead;
mod parts;
mod small;
mod transfer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::Inner;
use crate::store::disk::Digest;
use crate::store::remote::RemoteOpen;
use crate::store::{Entry, Error, RemoteFault, Result, StoreKey, remote_only};

/// The fills that are under way.
#[derive(Debug, Default)]
pub(super) struct Fills(Mutex<HashMap<Digest, Arc<Fill>>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Fill {
    state: watch::Sender<State>,
    begun: Instant,
    outdated: AtomicBool,
}

/// What a fill knows.
#[derive(Debug, Clone)]
enum State {
    /// The far tier was asked.
    Asking,
    Missing,
    /// Errors cannot be cloned: what was tried, the kind of fault, the text.
    Failed(&'static str, RemoteFault, String),
    /// In memory, or a file that grows.
    Found(Entry),
    /// The disk has no room: everybody streams for himself, the first one what was opened already.
    Streamed(Arc<Mutex<Option<RemoteOpen>>>),
    Stopping,
}

impl State {
    fn failed(error: Error) -> Self {
        match error {
            Error::Stopping => Self::Stopping,
            Error::Remote {
                operation,
                fault,
                source,
            } => Self::Failed(operation, fault, source.to_string()),
            other => Self::Failed("fetching an entry", RemoteFault::Other, other.to_string()),
        }
    }
}

impl Fills {
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The fill of an entry, and whether the caller has to lead it.
    fn join(&self, digest: &Digest) -> (Arc<Fill>, bool) {
        let mut map = self.lock();
        if let Some(fill) = map.get(digest) {
            return (Arc::clone(fill), false);
        }
        let fill = Arc::new(Fill {
            state: watch::Sender::new(State::Asking),
            begun: Instant::now(),
            outdated: AtomicBool::new(false),
        });
        map.insert(*digest, Arc::clone(&fill));
        (fill, true)
    }

    /// Nobody joins this fill any more.
    fn end(&self, digest: &Digest, fill: &Arc<Fill>) {
        let mut map = self.lock();
        if map.get(digest).is_some_and(|other| Arc::ptr_eq(other, fill)) {
            map.remove(digest);
        }
    }

    /// The entry was changed: what is being fetched may be the former version.
    pub(super) fn outdate(&self, digest: &Digest) {
        if let Some(fill) = self.lock().remove(digest) {
            fill.outdated.store(true, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Fill>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The entry of the far tier, on its way to the disk.
    pub(super) async fn fetch(self: &Arc<Self>, key: &StoreKey) -> Result<Option<Entry>> {
        let arrived = Instant::now();
        loop {
            if self.queue.is_deleted(key.digest()) {
                return Ok(None);
            }
            let (fill, leads) = self.fills.join(key.digest());
            let mut state = fill.state.subscribe();
            if leads {
                self.counters.filled();
                drop(
                    self.tasks
                        .spawn(lead::run(Arc::clone(self), key.clone(), Arc::clone(&fill))),
                );
            } else {
                self.counters.joined();
            }
            let known = state.wait_for(|state| !matches!(state, State::Asking)).await;
            let known = known.map_err(|_| Error::Stopping)?.clone();
            match known {
                State::Found(entry) => return Ok(Some(entry)),
                State::Streamed(open) => return self.stream(key, &open).await,
                State::Failed(operation, fault, text) => return Err(Error::remote(operation, fault, text)),
                State::Missing if fill.begun >= arrived => return Ok(None),
                // Asked before we came: somebody may have stored it since.
                State::Missing | State::Asking => {}
                State::Stopping => return Err(Error::Stopping),
            }
        }
    }

    /// The entry, past the disk.
    async fn stream(&self, key: &StoreKey, first: &Mutex<Option<RemoteOpen>>) -> Result<Option<Entry>> {
        self.counters.streamed();
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let open = match first {
            Some(open) => Some(open),
            None => self.far.open(key).await?,
        };
        Ok(open.map(|open| Entry {
            meta: Arc::clone(&open.entry.meta),
            content: remote_only::content(&self.far, key, open),
        }))
    }
}

fn damaged(text: &'static str) -> Error {
    Error::remote("fetching an entry", RemoteFault::Damaged, text)
}

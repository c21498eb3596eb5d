//! The keys of one issuer: read by every request, renewed by one background task.
//!
//! Invariants:
//! - A request whose key is known reads it without waiting, whatever the issuer does.
//! - However many requests ask for an unknown key, there is one fetch at a time, and no more than
//!   one in [`KeyTiming::demand`] because of them.
//! - A key that the issuer withdrew verifies nothing after the next good fetch.

mod discovery;
mod document;
mod encoding;
mod fetch;
mod http;
mod jwk;
mod key_file;
mod key_source;
mod keys;
mod keys_state;
mod refresh;
mod timing;
mod token_file;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use self::key_source::KeySource;
use self::keys::KeySet;
use self::refresh::Refresher;
use super::error::SetupError;
use super::stats::AuthStats;
use crate::config::{Algorithm, ProviderConfig};
use crate::tasks::Tasks;

pub(super) use self::jwk::VerifyingKey;
pub use self::key_file::key_file_error;
pub(super) use self::keys::{Candidates, KeyLookupError};
pub use self::keys_state::KeysState;
pub use self::timing::KeyTiming;
pub use self::token_file::key_token_error;

/// The state of one issuer that all requests share.
pub(super) struct Issuer {
    url: Arc<str>,
    timing: KeyTiming,
    /// `None` until the first good fetch.
    keys: ArcSwapOption<KeySet>,
    progress: watch::Sender<RefreshProgress>,
    /// Notified by requests that need a newer key set.
    wanted: Notify,
}

/// The progress of the background task.
#[derive(Debug, Clone, Copy)]
struct RefreshProgress {
    running: bool,
    /// Attempts that are over.
    finished: u64,
    /// When the last attempt began.
    started: Instant,
    /// Whether the last attempt that is over was good.
    good: bool,
    /// When the next attempt begins unless a request asks for it.
    next: Instant,
}

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The key set of the issuer has none for it.
    Lookup(KeyLookupError),
    /// The issuer cannot be asked now; it may help to try again after this time.
    Unavailable(Duration),
}

impl Issuer {
    /// Checks the provider's URL and starts the background task. Does not wait for it.
    ///
    /// # Errors
    /// If the URL cannot be an issuer, or the root certificates of the machine cannot be loaded.
    pub(super) fn start(
        provider: &ProviderConfig,
        timing: KeyTiming,
        stats: Arc<AuthStats>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, SetupError> {
        let source = KeySource::of(provider, tasks)?;
        let now = Instant::now();
        let progress = RefreshProgress {
            running: true,
            finished: 0,
            started: now,
            good: false,
            next: now,
        };
        let issuer = Arc::new(Self {
            url: provider.url.as_str().into(),
            timing,
            keys: ArcSwapOption::empty(),
            progress: watch::Sender::new(progress),
            wanted: Notify::new(),
        });
        let refresher = Refresher {
            issuer: issuer.clone(),
            source,
            stats,
            failures: 0,
            reported: None,
            skipped: Vec::new(),
        };
        drop(tasks.spawn(refresher.run(tasks.stopping())));
        Ok(issuer)
    }

    pub(super) fn url(&self) -> &Arc<str> {
        &self.url
    }

    /// Whether tokens can be verified now.
    pub(super) fn has_keys(&self) -> bool {
        self.current().is_some_and(|set| set.len() > 0)
    }

    /// How the keys stand now.
    pub(super) fn keys_state(&self) -> KeysState {
        let seconds = |set: &Arc<KeySet>| set.fetched.elapsed().as_secs();
        match (self.keys.load_full(), self.current(), self.progress.borrow().good) {
            (None, ..) => KeysState::Unknown,
            (Some(_), Some(set), _) if set.len() == 0 => KeysState::Unusable,
            (Some(_), Some(_), true) => KeysState::Current,
            (Some(_), Some(set), false) => KeysState::Kept(seconds(&set)),
            (Some(set), None, _) => KeysState::TooOld(seconds(&set)),
        }
    }

    /// The keys that may have signed a token. Waits, bounded, only if none is known.
    pub(super) async fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Candidates, KeyError> {
        // `None` if no keys are known, or they are too old to be believed.
        let find = || self.current().map(|set| set.find(id, algorithm));
        match find() {
            Some(Err(KeyLookupError::Unknown)) | None => {}
            Some(found) => return found.map_err(KeyError::Lookup),
        }
        self.refreshed().await?;
        let found = find().ok_or_else(|| self.unavailable())?;
        found.map_err(KeyError::Lookup)
    }

    /// Other candidates than those that did not verify a token, after one fetch for all who ask: an issuer may put
    /// new material under an old id, or give no ids. `None` if there are none, or the issuer does not answer.
    pub(super) async fn newer_candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        tried: &Candidates,
    ) -> Option<Candidates> {
        let find = || self.current()?.find(id, algorithm).ok();
        let other = |found: &Candidates| !found.are_same(tried);
        if let Some(found) = find().filter(other) {
            return Some(found);
        }
        self.refreshed().await.ok()?;
        find().filter(other)
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        let set = self.keys.load_full();
        set.filter(|set| set.fetched.elapsed() < self.timing.stale)
    }

    /// Waits for a newer key set: shares the attempt that is running, or asks for one unless the last was a moment
    /// ago.
    async fn refreshed(&self) -> Result<(), KeyError> {
        let mut progress = self.progress.subscribe();
        let seen = *progress.borrow();
        let verdict = |good: bool| if good { Ok(()) } else { Err(self.unavailable()) };
        if !seen.running {
            if seen.started.elapsed() < self.timing.demand {
                return verdict(seen.good);
            }
            self.wanted.notify_one();
        }
        let over = progress.wait_for(|progress| progress.finished > seen.finished);
        match timeout(self.timing.wait, over).await {
            Ok(Ok(progress)) => verdict(progress.good),
            Ok(Err(_)) | Err(_) => Err(self.unavailable()),
        }
    }

    fn unavailable(&self) -> KeyError {
        let next = self.progress.borrow().next;
        let wait = next.saturating_duration_since(Instant::now());
        KeyError::Unavailable(wait.max(Duration::from_secs(1)))
    }

    fn begin(&self, started: Instant) {
        self.progress.send_modify(|progress| {
            progress.running = true;
            progress.started = started;
        });
    }

    fn finish(&self, good: bool, pause: Duration) {
        self.progress.send_modify(|progress| {
            progress.running = false;
            progress.finished += 1;
            progress.good = good;
            progress.next = Instant::now() + pause;
        });
    }
}

//! The background task that keeps the keys of one issuer fresh.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::super::stats::{AuthStats, count};
use super::Issuer;
use super::fetch::{FetchError, FetchedKeys};
use super::jwk::SkippedKey;
use super::key_source::KeySource;
use super::keys::KeySet;

/// Fetches ahead of need, sooner on demand, and with growing pauses while it fails.
pub(super) struct Refresher {
    pub(super) issuer: Arc<Issuer>,
    pub(super) source: KeySource,
    pub(super) stats: Arc<AuthStats>,
    /// Failed attempts in a row.
    pub(super) failures: u32,
    /// The reason that was last logged, to log a standing failure once.
    pub(super) reported: Option<String>,
    /// The keys that were last logged as skipped.
    pub(super) skipped: Vec<SkippedKey>,
}

impl Refresher {
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        stopping.run_until_cancelled_owned(self.refresh_for_ever()).await;
    }

    async fn refresh_for_ever(&mut self) {
        loop {
            let started = Instant::now();
            self.issuer.begin(started);
            let fetched = timeout(self.issuer.timing.fetch, self.source.fetch()).await;
            let pause = match fetched.unwrap_or(Err(FetchError::Timeout)) {
                Ok(fetched) => self.succeeded(fetched),
                Err(error) => self.failed(&error),
            };
            self.issuer.finish(self.failures == 0, pause);
            self.rest(started, pause).await;
        }
    }

    /// Waits for the next attempt. Requests may end the wait, but not more often than `demand`.
    async fn rest(&self, started: Instant, pause: Duration) {
        let end = Instant::now() + pause;
        while timeout_at(end, self.issuer.wanted.notified()).await.is_ok() {
            if started.elapsed() >= self.issuer.timing.demand {
                return;
            }
        }
    }

    fn succeeded(&mut self, fetched: FetchedKeys) -> Duration {
        let timing = self.issuer.timing;
        let current = self.issuer.keys.load_full();
        let now = Instant::now();
        let max_age = match (fetched, &current) {
            (FetchedKeys::New(published, max_age), _) => {
                count(&self.stats.refreshes_ok);
                let next = KeySet::new(published, current.as_deref(), now);
                self.report_skipped(&next.skipped);
                self.publish(current.as_deref(), next);
                max_age
            }
            (FetchedKeys::Unchanged, Some(set)) => {
                self.issuer.keys.store(Some(Arc::new(set.confirmed(now))));
                None
            }
            (FetchedKeys::Unchanged, None) => None,
        };
        if self.reported.take().is_some() {
            tracing::info!(issuer = %self.issuer.url, "the keys of the issuer can be fetched again");
        }
        self.failures = 0;
        self.source.pause(timing, max_age)
    }

    /// Puts a key set in place, and withdraws the former keys only then: a request in between verifies with the new
    /// set.
    fn publish(&self, current: Option<&KeySet>, next: KeySet) {
        let issuer = &self.issuer.url;
        let next = Arc::new(next);
        self.issuer.keys.store(Some(next.clone()));
        if next.len() == 0 && current.is_none_or(|set| set.len() > 0) {
            tracing::warn!(%issuer, "the issuer publishes no usable key: all its tokens are refused");
        }
        let Some(current) = current else {
            tracing::info!(%issuer, keys = next.len(), "the key set of the issuer is known");
            return;
        };
        let changes = current.replace_by(&next);
        if changes != Default::default() {
            let (added, withdrawn) = (&changes.added, &changes.withdrawn);
            tracing::info!(%issuer, ?added, ?withdrawn, "the issuer changed its keys");
        }
    }

    /// Logs the keys that cannot be used, once for each change of them.
    fn report_skipped(&mut self, skipped: &[SkippedKey]) {
        const MAX_NAMED: usize = 8;
        if skipped == self.skipped {
            return;
        }
        self.skipped = skipped.to_vec();
        let (issuer, count) = (&self.issuer.url, skipped.len());
        let named = skipped.iter().take(MAX_NAMED);
        let reasons: Vec<String> = named
            .map(|key| format!("\"{}\": {}", key.id, key.reason))
            .collect();
        let reasons = reasons.join("; ");
        if skipped.iter().any(|key| key.reason.is_fault()) {
            tracing::warn!(%issuer, count, %reasons, "the issuer publishes keys that cannot be used; they are skipped");
        } else if count > 0 {
            tracing::info!(%issuer, count, %reasons, "the issuer publishes keys that are not used");
        }
    }

    fn failed(&mut self, error: &FetchError) -> Duration {
        count(&self.stats.refreshes_failed);
        self.failures = self.failures.saturating_add(1);
        let reason = crate::error::chain(error);
        if self.reported.as_ref() != Some(&reason) {
            tracing::warn!(issuer = %self.issuer.url, %reason, "the keys of the issuer cannot be fetched");
            self.reported = Some(reason);
        }
        self.issuer.timing.retry(self.failures)
    }
}

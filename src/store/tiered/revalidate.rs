//! Comparing a local copy with the remote tier.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::TieredCore;
use crate::store::follow::Fill;
use crate::store::remote::RemoteEntry;
use crate::store::{Entry, Error, Meta, Precondition, RemoteErrorKind, Result, Store, StoreKey};

/// How long a read waits for the comparison: what is on the disk is served, however slow the remote tier is.
const COMPARISON_TIMEOUT: Duration = Duration::from_secs(2);

fn is_same(remote: &RemoteEntry, copy: &Meta) -> bool {
    remote.meta.etag == copy.etag && remote.meta.metadata == copy.metadata
}

impl TieredCore {
    /// The entry on the disk, if it may be served.
    ///
    /// # Errors
    /// [`Error::Remote`] only where a copy that cannot be compared is not served.
    pub(super) async fn copy(&self, key: &StoreKey) -> Result<Option<Entry>> {
        if self.hides(key) {
            return Ok(None);
        }
        let Some(entry) = self.local_get(key).await else {
            return Ok(None);
        };
        Ok(self.may_serve(key, &entry.meta).await?.then_some(entry))
    }

    /// The same for somebody who wants to know of the entry only: its body is not read. Damage there is for whoever
    /// reads it.
    ///
    /// # Errors
    /// As [`TieredCore::copy`].
    pub(super) async fn copy_head(&self, key: &StoreKey) -> Result<Option<Arc<Meta>>> {
        if self.hides(key) {
            return Ok(None);
        }
        let Some(meta) = self.local_head(key).await else {
            return Ok(None);
        };
        Ok(self.may_serve(key, &meta).await?.then_some(meta))
    }

    fn hides(&self, key: &StoreKey) -> bool {
        self.queue.hides(key.digest()) || self.outdated.hides(key.digest())
    }

    /// Whether the copy on the disk may be served. One that does not hold is gone when this returns.
    async fn may_serve(&self, key: &StoreKey, copy: &Arc<Meta>) -> Result<bool> {
        // Boxed to keep the future of a hit small.
        if self.local.is_suspect(key.digest()) && self.freshness.is_unclear(key) {
            return Ok(Box::pin(self.is_cleared(key, copy)).await);
        }
        let since = self.freshness.needed_since(key);
        match since.filter(|since| self.freshness.is_due(key, *since)) {
            Some(since) => Box::pin(self.still_holds(key, copy, since)).await,
            None => Ok(true),
        }
    }

    /// Whether the remote tier has had the same after `since`, or cannot be asked, in which case the disk goes on
    /// serving.
    async fn still_holds(&self, key: &StoreKey, copy: &Arc<Meta>, since: Instant) -> Result<bool> {
        let _turn = self.comparisons.lock(key.digest()).await;
        if !self.freshness.is_due(key, since) || self.queue.is_waiting(key.digest()) {
            // Another reader has asked meanwhile, or the remote tier does not have this version yet.
            return Ok(self.is_on_disk(key, copy).await);
        }
        match self.compare(key, copy).await {
            Err(_unknown) if !self.policy.revalidation.is_strict(key) => {
                self.freshness.postpone(key);
                Ok(true)
            }
            compared => compared,
        }
    }

    /// Whether a copy that a power loss made suspect is what the remote tier has. One that cannot be compared is not
    /// served.
    async fn is_cleared(&self, key: &StoreKey, copy: &Arc<Meta>) -> bool {
        let _turn = self.comparisons.lock(key.digest()).await;
        if self.queue.is_waiting(key.digest()) || !self.freshness.is_unclear(key) {
            return self.is_on_disk(key, copy).await;
        }
        let holds = self.compare(key, copy).await.unwrap_or(false);
        if holds {
            self.freshness.clear(key);
        }
        holds
    }

    async fn is_on_disk(&self, key: &StoreKey, copy: &Arc<Meta>) -> bool {
        self.local_head(key).await.is_some_and(|now| now == *copy)
    }

    /// Whether the remote tier has what the copy is. Removes one that it is not.
    async fn compare(&self, key: &StoreKey, copy: &Meta) -> Result<bool> {
        let asked = Instant::now();
        self.counters.revalidated.inc();
        let remote = self.remote_head(key).await?;
        let holds = remote.is_some_and(|remote| is_same(&remote, copy));
        match holds {
            true => self.freshness.note(key, asked),
            false => self.drop_copy(key, copy).await,
        }
        Ok(holds)
    }

    /// What the remote tier has, for a comparison.
    async fn remote_head(&self, key: &StoreKey) -> Result<Option<RemoteEntry>> {
        let look = self.remote.head(key);
        if self.policy.revalidation.is_strict(key) {
            return look.await;
        }
        let late = |_| Error::remote("comparing a copy", RemoteErrorKind::Timeout, "no answer in time");
        timeout(COMPARISON_TIMEOUT, look).await.map_err(late)?
    }

    /// Whether what a fill found may be given to a reader who came at `arrived`. Only a reader who would
    /// not be served from the disk alone is in doubt: the entry may have been replaced since the fill began.
    pub(super) async fn is_current(
        &self,
        key: &StoreKey,
        fill: &Arc<Fill>,
        found: &Meta,
        arrived: Instant,
    ) -> Result<bool> {
        if !self.policy.revalidation.is_strict(key) {
            return Ok(true);
        }
        let mut current_at = fill.current_at.lock().await;
        if *current_at >= arrived {
            return Ok(true);
        }
        let asked = Instant::now();
        self.counters.revalidated.inc();
        let now = self.remote.head(key).await?;
        let same = now.is_some_and(|now| is_same(&now, found));
        match same {
            true => *current_at = asked,
            false => self.fills.outdate_one(key.digest(), fill),
        }
        Ok(same)
    }

    /// Removes the copy from the disk, unless there is another one by now.
    async fn drop_copy(&self, key: &StoreKey, copy: &Meta) {
        let _change = self.changes.lock(key.digest()).await;
        if self.queue.is_waiting(key.digest()) {
            return;
        }
        self.counters.replaced.inc();
        self.fills.outdate(key.digest());
        let this_one = Precondition::Matches(vec![copy.etag.clone()]);
        match self.local.delete(key, this_one).await {
            Ok(_) | Err(Error::Precondition) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an entry that was replaced elsewhere could not be removed from the disk"
            ),
        }
    }
}

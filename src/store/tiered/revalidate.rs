//! Comparing a local copy with the far tier.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use crate::store::{Error, Meta, Precondition, RemoteErrorKind, Store, StoreKey};

/// How long a read waits for the comparison: what is on the disk is served, however slow the far tier is.
const PATIENCE: Duration = Duration::from_secs(2);

fn late() -> Error {
    Error::remote("comparing a copy", RemoteErrorKind::Timeout, "no answer in time")
}

impl Inner {
    /// Whether the copy on the disk may be served: the far tier has the same, or cannot be asked, in which
    /// case the disk goes on serving. A copy that does not hold is gone when this returns.
    pub(super) async fn still_holds(&self, key: &StoreKey, copy: &Arc<Meta>) -> bool {
        let Some(fresh) = &self.fresh else { return true };
        let _turn = self.checks.lock(key.digest()).await;
        if !fresh.is_due(key.digest()) || self.queue.is_waiting(key.digest()) {
            // Somebody has asked meanwhile, or the far tier has not heard of this version yet.
            return self.near_get(key).await.is_some_and(|now| now.meta == *copy);
        }
        let asked = Instant::now();
        self.counters.revalidated();
        let look = tokio::time::timeout(PATIENCE, self.far.head(key));
        match look.await.unwrap_or_else(|_| Err(late())) {
            Ok(Some(far)) if far.meta.etag == copy.etag && far.meta.metadata == copy.metadata => {
                fresh.note(key.digest(), asked);
                true
            }
            Ok(_other) => {
                self.drop_copy(key, copy).await;
                false
            }
            Err(_unknown) => {
                fresh.postpone(key.digest());
                true
            }
        }
    }

    /// Removes the copy from the disk, unless there is another one by now.
    async fn drop_copy(&self, key: &StoreKey, copy: &Meta) {
        let _change = self.changes.lock(key.digest()).await;
        if self.queue.is_waiting(key.digest()) {
            return;
        }
        self.counters.replaced();
        self.fills.outdate(key.digest());
        match self
            .near
            .delete(key, Precondition::Matches(vec![copy.etag.clone()]))
            .await
        {
            Ok(_) | Err(Error::Precondition) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an entry that was replaced elsewhere could not be removed from the disk"
            ),
        }
    }
}

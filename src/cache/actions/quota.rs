//! The share of the tier that running uploads may hold. Clients that die leave their uploads behind, and no
//! tenant may push out the entries of all others with bytes that never become an entry.

use std::sync::Arc;
use std::time::Duration;

use super::uploads::ActionsUpload;
use super::{Actions, Error, Result};

/// The largest body, divided by this, is the most that all uploads hold together. One upload alone may hold more.
const CAPACITY_DIVISOR: u64 = 2;
/// Shorter bodies are not weighed while there are at most [`MAX_UNWEIGHED_UPLOADS`].
const MIN_WEIGHED_BYTES: u64 = 64 * 1024;
/// See [`MIN_WEIGHED_BYTES`].
const MAX_UNWEIGHED_UPLOADS: usize = 256;
/// A tenant with too many uploads may try again after this time.
const BUSY: Error = Error::Busy {
    retry_after: Duration::from_secs(5),
};
/// Longest time between two looks at the traffic of all uploads.
const MAX_INTERVAL: Duration = Duration::from_secs(15);

impl Actions {
    /// Ensures that `upload` may take `bytes` more. Gives up idle uploads of any tenant for that.
    ///
    /// # Errors
    /// [`Error::Busy`] if other uploads of the same tenant hold the share.
    pub(super) async fn ensure_bytes(&self, upload: &ActionsUpload, bytes: u64) -> Result<()> {
        if bytes < MIN_WEIGHED_BYTES && self.0.uploads.len() <= MAX_UNWEIGHED_UPLOADS {
            return Ok(());
        }
        let (uploads, share) = (&self.0.uploads, self.0.store.capacity() / CAPACITY_DIVISOR);
        while uploads.totals().1.saturating_add(bytes) > share {
            let Some(idle) = uploads.most_idle(|other| other.id != upload.id) else {
                break;
            };
            tracing::info!(namespace = %idle.note.label, "an upload without traffic makes way for others");
            self.give_up(&idle).await;
        }
        let others = uploads.held_beside(upload);
        match others > 0 && others.saturating_add(bytes) > share {
            true => Err(BUSY),
            false => Ok(()),
        }
    }

    /// Ensures that the namespace with this label may begin one more upload. Gives up idle ones for that.
    ///
    /// # Errors
    /// [`Error::Busy`] if the namespace has as many uploads as it may have, and none is idle.
    pub(super) async fn ensure_slot(&self, label: &Arc<str>) -> Result<()> {
        while self.0.uploads.count(label) >= self.0.settings.max_uploads {
            let idle = self.0.uploads.most_idle(|other| other.note.label == *label);
            let idle = idle.ok_or(BUSY)?;
            self.give_up(&idle).await;
        }
        Ok(())
    }

    /// Gives up uploads without traffic until the server stops.
    pub(super) async fn give_up_idle(self) {
        let (stopping, timeout) = (self.0.tasks.stopping(), self.0.settings.upload_timeout);
        let mut rounds = tokio::time::interval(MAX_INTERVAL.min(timeout));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = rounds.tick() => {}
            }
            for upload in self.0.uploads.idle(timeout) {
                // Not while it is being committed.
                let _change = self.0.changes.lock(upload.note.name.digest()).await;
                if upload.blocks.last_traffic().elapsed() >= timeout {
                    tracing::info!(namespace = %upload.note.label, "an upload without traffic is given up");
                    self.give_up(&upload).await;
                }
            }
        }
    }
}

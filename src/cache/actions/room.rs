//! How much of the tier running uploads may hold: clients that die leave theirs behind, and nobody may push
//! out the entries of all others with what never becomes one.

use std::sync::Arc;
use std::time::Duration;

use super::uploads::Upload;
use super::{Actions, Error, Result};

/// All uploads together hold at most one part in so many of the largest body, unless one alone is larger.
const SHARE: u64 = 2;
/// Where there is not enough, an upload without traffic for so long is given up.
const IDLE: Duration = Duration::from_secs(60);
/// Shorter bodies are not weighed while there are few uploads.
const SMALL: u64 = 64 * 1024;
/// So many uploads are few.
const FEW: usize = 256;
/// When a tenant may try again that has too much under way.
const RETRY: Duration = Duration::from_secs(5);

impl Actions {
    /// Sees to it that `upload` may take `bytes` more: gives up those that are idle, of whichever tenant.
    ///
    /// # Errors
    /// [`Error::Busy`] if other uploads of the same tenant hold the share.
    pub(super) async fn make_way(&self, upload: &Upload, bytes: u64) -> Result<()> {
        if bytes < SMALL && self.0.uploads.len() <= FEW {
            return Ok(());
        }
        let share = self.0.store.capacity() / SHARE;
        while self.0.uploads.totals().1.saturating_add(bytes) > share {
            let Some(idle) = self.0.uploads.most_idle(IDLE, |other| other.id != upload.id) else {
                break;
            };
            tracing::info!(namespace = %idle.note.label, "an upload without traffic makes way for others");
            self.give_up(&idle).await;
        }
        self.refuse_tenant(upload, bytes, share)
    }

    /// Sees to it that a tenant with this label may begin one more upload.
    ///
    /// # Errors
    /// [`Error::Busy`] if it has as many as it may have, and none is idle.
    pub(super) async fn make_place(&self, label: &Arc<str>) -> Result<()> {
        while self.0.uploads.count(label) >= self.0.settings.max_uploads {
            let idle = self.0.uploads.most_idle(IDLE, |other| other.note.label == *label);
            let Some(idle) = idle else {
                return Err(Error::Busy { retry_after: RETRY });
            };
            self.give_up(&idle).await;
        }
        Ok(())
    }

    fn refuse_tenant(&self, upload: &Upload, bytes: u64, share: u64) -> Result<()> {
        let others = self.0.uploads.held_beside(upload);
        match others > 0 && others.saturating_add(bytes) > share {
            true => Err(Error::Busy { retry_after: RETRY }),
            false => Ok(()),
        }
    }
}

//! The share of the tier that running uploads may hold. Clients that die leave their uploads behind, and no
//! tenant may push out the entries of all others with bytes that never become an entry.

use std::time::Duration;

use super::given_up::GivenUp;
use super::upload::ActionsUpload;
use super::upload_note::UploadNote;
use super::uploads::{IDLE_AFTER, UploadOwner};
use super::{Actions, BusyReason, Error, Result};
use crate::store::tenant_rules::TenantBound;
use crate::{store, tasks};

/// The largest body, divided by this, is the most that all uploads hold together. One upload alone may hold more.
const CAPACITY_DIVISOR: u64 = 2;
/// Shorter bodies are not weighed while there are at most [`MAX_UNWEIGHED_UPLOADS`].
const MIN_WEIGHED_BYTES: u64 = 64 * 1024;
/// See [`MIN_WEIGHED_BYTES`].
const MAX_UNWEIGHED_UPLOADS: usize = 256;
/// A tenant with too many uploads may try again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Longest time between two looks at the traffic of all uploads.
const MAX_INTERVAL: Duration = Duration::from_secs(15);
/// The next look after one that could not give up all that it should have: their keys were being changed.
const AGAIN_INTERVAL: Duration = Duration::from_millis(200);
/// Uploads that one such look takes out of the table at once.
const SLICE_UPLOADS: usize = 256;

fn busy(reason: BusyReason) -> Error {
    Error::Busy {
        reason,
        retry_after: RETRY_AFTER,
    }
}

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
            let Some(idle) = uploads.most_idle(upload.id) else {
                break;
            };
            self.make_way(&idle).await;
        }
        let others = uploads.held_beside(upload);
        match others > 0 && others.saturating_add(bytes) > share {
            true => Err(busy(BusyReason::Bytes)),
            false => Ok(()),
        }
    }

    /// Ensures that one more upload may begin in the namespace and for the tenant of this note. Gives up idle ones of
    /// theirs for that.
    ///
    /// # Errors
    /// [`Error::Busy`] if the namespace has as many uploads as it may have, and none is idle; [`Error::Store`] if the
    /// tenant has.
    pub(super) async fn ensure_slot(&self, note: &UploadNote) -> Result<()> {
        let namespace = UploadOwner::namespace(note);
        while self.0.uploads.count(&namespace) >= self.0.settings.max_uploads {
            let idle = self.0.uploads.most_idle_of(&namespace);
            let idle = idle.ok_or(busy(BusyReason::Uploads))?;
            self.make_way(&idle).await;
        }
        let Some((owner, most)) = self.most_of_tenant(note) else {
            return Ok(());
        };
        while self.0.uploads.count(&owner) >= most {
            let idle = self.0.uploads.most_idle_of(&owner);
            let idle = idle.ok_or(store::Error::OverBound {
                bound: TenantBound::MaxUploads,
                retry_after: RETRY_AFTER,
            })?;
            self.make_way(&idle).await;
        }
        Ok(())
    }

    /// How many uploads the tenant of this note may have, if a rule says so.
    fn most_of_tenant(&self, note: &UploadNote) -> Option<(UploadOwner, usize)> {
        let limits = self.0.loads.rules().limits(&note.tenancy.as_ref()?.tenant)?;
        Some((UploadOwner::tenant(note)?, limits.max_uploads?))
    }

    /// Gives up an idle upload for others, or passes it over for a while.
    async fn make_way(&self, idle: &ActionsUpload) {
        let given_up = self
            .give_up_if(idle, GivenUp::Room, || idle.idle() >= IDLE_AFTER)
            .await;
        if !given_up {
            self.0.uploads.pass_over(idle);
        }
    }

    /// Gives up an upload for which `is_due` holds under the lock of its key. `false` if it does not, or if somebody
    /// changes that key at this moment: what is being committed, or begun anew, is no upload without traffic.
    async fn give_up_if(&self, upload: &ActionsUpload, why: GivenUp, is_due: impl Fn() -> bool) -> bool {
        let Some(_change) = self.0.changes.try_lock(upload.note.name.digest()) else {
            return false;
        };
        if upload.is_committing() || !is_due() || self.0.uploads.get(upload.id).is_none() {
            return false;
        }
        tracing::info!(namespace = %upload.note.label, "{}", why.text());
        self.give_up(upload).await;
        self.0.given_up.count(why);
        true
    }

    /// Gives up uploads without traffic, those whose rights have ended, and at once those whose room others need, until
    /// the server stops.
    pub(super) async fn give_up_idle(self) {
        let (stopping, timeout) = (self.0.tasks.stopping(), self.0.settings.upload_timeout);
        let interval = MAX_INTERVAL.min(timeout);
        let mut pause = interval;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.0.blocks.revoked() => {}
                () = tasks::pause(pause) => {}
            }
            pause = match self.give_up_all_due(timeout).await {
                true => interval,
                false => AGAIN_INTERVAL,
            };
        }
    }

    /// `false` if some of them could not be given up now.
    async fn give_up_all_due(&self, timeout: Duration) -> bool {
        let (mut last, mut is_done) = (None, true);
        loop {
            let uploads = self.0.uploads.after(last, SLICE_UPLOADS);
            let Some(end) = uploads.last() else {
                return is_done;
            };
            last = Some(end.id);
            for upload in &uploads {
                is_done &= self.give_up_due(upload, timeout).await;
            }
        }
    }

    /// `false` if it should be given up, but could not be now.
    async fn give_up_due(&self, upload: &ActionsUpload, timeout: Duration) -> bool {
        let is_idle = || upload.idle() >= timeout;
        // A client with a good token that goes on after a restart is heard of first.
        let is_overdue = || upload.is_overdue() && upload.idle() >= MAX_INTERVAL;
        let is_revoked = || upload.blocks.is_revoked();
        let (why, is_due) = match (upload.is_too_old(), is_idle(), is_revoked()) {
            (true, _, _) => (GivenUp::Age, true),
            (false, true, _) => (GivenUp::Idle, true),
            (false, false, true) => (GivenUp::Share, true),
            (false, false, false) => (GivenUp::Expired, is_overdue()),
        };
        if is_due {
            let is_due = || upload.is_too_old() || is_idle() || is_revoked() || is_overdue();
            return self.give_up_if(upload, why, is_due).await || upload.is_committing();
        }
        true
    }
}

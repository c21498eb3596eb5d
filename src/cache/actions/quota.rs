//! How many uploads run, and how long those without traffic may. Clients that die leave their uploads behind.
//!
//! How many bytes they hold is a matter of the tier: they count in the share of their tenant, and above it their room
//! is taken back when others need it.

use std::time::Duration;

use super::given_up::GivenUp;
use super::upload::ActionsUpload;
use super::upload_note::UploadNote;
use super::uploads::{IDLE_AFTER, UploadOwner};
use super::{Actions, Error, Result};
use crate::store::tenant_rules::TenantBound;
use crate::{store, tasks};

/// Uploads at once of one tenant where no rule says more or less: each takes memory and a file.
const MAX_TENANT_UPLOADS: usize = 4096;
/// A tenant with too many uploads may try again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Longest time between two looks at the traffic of all uploads.
const MAX_INTERVAL: Duration = Duration::from_secs(15);
/// The next look after one that could not give up all that it should have: their keys were being changed.
const AGAIN_INTERVAL: Duration = Duration::from_millis(200);
/// Uploads that one such look takes out of the table at once.
const SLICE_UPLOADS: usize = 256;

impl Actions {
    /// Before `upload` takes `bytes` more: idle uploads of its tenant go while all of them hold more than its share. The
    /// tenant would have to push out its own entries for what nobody goes on with.
    pub(super) async fn end_idle_beside(&self, upload: &ActionsUpload, bytes: u64) {
        if let Some(owner) = UploadOwner::tenant(&upload.note) {
            let held = || self.0.uploads.held(&owner).saturating_add(bytes);
            let is_enough = || held() <= upload.blocks.share();
            let _enough = self.make_way_until(&owner, is_enough).await;
        }
    }

    /// Ensures that one more upload may begin in the namespace and for the tenant of this note. Gives up idle ones of
    /// theirs for that.
    ///
    /// # Errors
    /// [`Error::Busy`] if the namespace has as many uploads as it may have, and none is idle; [`Error::Store`] if the
    /// tenant has.
    pub(super) async fn ensure_slot(&self, note: &UploadNote) -> Result<()> {
        let retry_after = RETRY_AFTER;
        let namespace = UploadOwner::namespace(note);
        if !self.ensure_below(&namespace, self.0.settings.max_uploads).await {
            return Err(Error::Busy { retry_after });
        }
        let Some(owner) = UploadOwner::tenant(note) else {
            return Ok(());
        };
        let most = self.most_of_tenant(note).unwrap_or(MAX_TENANT_UPLOADS);
        if self.ensure_below(&owner, most).await {
            return Ok(());
        }
        let bound = TenantBound::MaxUploads;
        Err(store::Error::OverBound { bound, retry_after }.into())
    }

    /// How many uploads the tenant of this note may have, if a rule says so.
    fn most_of_tenant(&self, note: &UploadNote) -> Option<usize> {
        let limits = self.0.loads.rules().limits(&note.tenancy.as_ref()?.tenant)?;
        limits.max_uploads
    }

    async fn ensure_below(&self, owner: &UploadOwner, most: usize) -> bool {
        let is_below = || self.0.uploads.count(owner) < most;
        self.make_way_until(owner, is_below).await
    }

    /// Gives up idle uploads of `owner`, the most idle first, until `is_enough`. `false` if it is not, and none is idle.
    async fn make_way_until(&self, owner: &UploadOwner, is_enough: impl Fn() -> bool) -> bool {
        while !is_enough() {
            let Some(idle) = self.0.uploads.most_idle_of(owner) else {
                return false;
            };
            let reason = || (idle.idle() >= IDLE_AFTER).then_some(GivenUp::Room);
            if !self.give_up_if(&idle, reason).await {
                self.0.uploads.pass_over(&idle);
            }
        }
        true
    }

    /// Gives up an upload if there is a reason under the lock of its key. `false` if there is none, or if somebody
    /// changes that key at this moment: what is being committed, or begun anew, is no upload without traffic.
    async fn give_up_if(&self, upload: &ActionsUpload, reason: impl Fn() -> Option<GivenUp>) -> bool {
        let Some(_change) = self.0.changes.try_lock(upload.note.name.digest()) else {
            return false;
        };
        if upload.is_committing() || self.0.uploads.get(upload.id).is_none() {
            return false;
        }
        let Some(why) = reason() else {
            return false;
        };
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
        let reason = || {
            if upload.is_too_old() {
                return Some(GivenUp::Age);
            }
            if upload.idle() >= timeout {
                return Some(GivenUp::Idle);
            }
            if upload.blocks.is_revoked() {
                return Some(GivenUp::Share);
            }
            // A client with a good token that goes on after a restart is heard of first.
            let is_overdue = upload.is_overdue() && upload.idle() >= MAX_INTERVAL;
            is_overdue.then_some(GivenUp::Expired)
        };
        reason().is_none() || self.give_up_if(upload, reason).await || upload.is_committing()
    }
}

//! The right to go on with an upload that an earlier request has begun.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Actions;
use super::entry::NamespaceId;
use super::upload_note::UploadNote;
use super::{CacheKey, Error, Result, UploadId, Version};
use crate::auth::{ExpiredIdentity, Identity};
use crate::store::Tenancy;

/// See the module.
#[derive(Debug)]
pub enum UploadAuth {
    /// A caller whose token is good.
    Caller(Arc<Identity>),
    /// The bearer of a token that has expired: good only for uploads that were begun with the same one, and for
    /// [`Actions::late_grace`] only.
    Expired(ExpiredIdentity),
}

impl UploadAuth {
    /// The rights by the rules of now; for an expired token those that it would have.
    pub fn rights(&self) -> &Identity {
        match self {
            Self::Caller(caller) => caller,
            Self::Expired(expired) => expired.former(),
        }
    }

    /// The note of an upload of key and version that this caller goes on with.
    ///
    /// # Errors
    /// [`Error::WriteDenied`].
    pub(super) fn note(&self, key: &CacheKey, version: &Version) -> Result<UploadNote> {
        UploadNote::of(self.rights(), key, version)
    }

    /// Whether it may go on with an upload of this note, as far as the namespace is its own.
    pub(super) fn may_continue(&self, note: &UploadNote) -> bool {
        match self {
            Self::Caller(_) => true,
            Self::Expired(expired) => note.holder == *expired.former().token.as_bytes(),
        }
    }
}

impl Actions {
    /// A token that has expired is good for its own uploads for this long.
    pub fn late_grace(&self) -> Duration {
        self.0.settings.upload_timeout
    }

    /// Whether `auth` may go on with this upload, running or ended.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], also for an upload of another tenant; [`Error::WriteDenied`].
    pub fn may_upload(&self, auth: &UploadAuth, id: UploadId) -> Result<()> {
        let running = self.0.uploads.get(id);
        let note = running.as_ref().map(|upload| upload.note.clone());
        let note = note.or_else(|| self.0.uploads.ended(id).map(|ended| ended.note));
        let note = note.ok_or(Error::UnknownUpload)?;
        let rights = auth.rights();
        if note.namespace != NamespaceId::of(rights.scope.writable()) || !auth.may_continue(&note) {
            return Err(Error::UnknownUpload);
        }
        if !rights.may_write {
            return Err(Error::WriteDenied);
        }
        if let (UploadAuth::Caller(caller), Some(upload)) = (auth, running) {
            upload.extend(self.end_of_rights(caller.expires));
        }
        Ok(())
    }

    /// Whom this upload belongs to, running or ended not long ago; `None` if nobody knows.
    pub fn tenancy_of(&self, id: UploadId) -> Option<Tenancy> {
        let uploads = &self.0.uploads;
        match uploads.get(id) {
            Some(upload) => upload.note.tenancy.clone(),
            None => uploads.ended(id)?.note.tenancy,
        }
    }

    /// The latest moment at which anything happens on the strength of a token that ends at `expires`.
    pub(super) fn end_of_rights(&self, expires: SystemTime) -> SystemTime {
        expires + self.late_grace()
    }
}

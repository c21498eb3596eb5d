//! Reservations: one caller may upload an entry, and for a while no other caller may.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::permit::Permission;
use super::upload_note::UploadNote;
use super::uploads::ActionsUpload;
use super::{Actions, CacheKey, Error, Result, UploadId, Version};
use crate::auth::{Identity, Ticket};
use crate::store;

/// A URL for an upload is good for this long. The upload itself ends earlier without traffic.
const UPLOAD_LINK_LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);

/// Another job may take the place of an upload without traffic for this long.
const UPLOAD_LEASE: Duration = Duration::from_secs(2 * 60);

impl Actions {
    /// Reserves key and version in the writable namespace for an upload of `size` bytes, if the client says so.
    ///
    /// The same token asking again gets a fresh upload, and the former one ends: a client whose answer was lost
    /// has no other way on. Another token waits until the running upload had no traffic for the lease.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::InUpload`], [`Error::WriteDenied`], [`Error::Busy`], [`Error::Store`].
    pub async fn reserve(
        &self,
        caller: &Identity,
        key: &CacheKey,
        version: &Version,
        size: Option<u64>,
    ) -> Result<UploadId> {
        let limit = self.0.store.capacity();
        if let Some(size) = size.filter(|size| *size > limit) {
            return Err(store::Error::TooLarge { size, limit }.into());
        }
        let note = UploadNote::of(caller, key, version)?;
        let _change = self.0.changes.lock(note.name.digest()).await;
        self.refuse_existing(&note).await?;
        self.end_former(&note).await?;
        self.ensure_slot(&note.label).await?;
        self.begin(note).await
    }

    /// Permission to send the body of an upload and nothing else, for a URL.
    pub fn upload_ticket(&self, id: UploadId) -> Ticket {
        let payload = Permission::Write(id).encode();
        let expires = SystemTime::now() + UPLOAD_LINK_LIFETIME;
        self.0.keys.seal(&payload, expires)
    }

    async fn begin(&self, note: UploadNote) -> Result<UploadId> {
        let id = self.new_id()?;
        let blocks = self.0.blocks.create(id.get(), note.encode()).await?;
        if let Some(upload) = self.0.store.early_upload(&note.name) {
            blocks.send_early(upload);
        }
        let upload = Arc::new(ActionsUpload { id, note, blocks });
        self.0.uploads.insert(upload);
        Ok(id)
    }

    /// An entry never changes. What the catalog knows and the store has lost may be saved again.
    async fn refuse_existing(&self, note: &UploadNote) -> Result<()> {
        let Some(record) = self.known(note).await else {
            return Ok(());
        };
        if self.0.store.head(&note.name).await?.is_some() {
            return Err(Error::Exists);
        }
        if self.may_come(&record) {
            // Saved on another server a moment ago. The first commit in the bucket wins.
            return Ok(());
        }
        self.0.catalog.forget(&note.committed(record)).await;
        Ok(())
    }

    /// Ends the running upload of this entry if the new one may take its place. Under the lock of the key.
    async fn end_former(&self, note: &UploadNote) -> Result<()> {
        let Some(former) = self.0.uploads.of(&note.name) else {
            return Ok(());
        };
        let is_idle = former.blocks.last_traffic().elapsed() >= UPLOAD_LEASE;
        if former.note.holder != note.holder && !is_idle {
            return Err(Error::InUpload);
        }
        self.give_up(&former).await;
        Ok(())
    }

    /// Ends an upload that becomes no entry: its URLs say so from now on, its space is free.
    pub(super) async fn give_up(&self, upload: &ActionsUpload) {
        self.0.uploads.end(upload.id, None);
        upload.blocks.remove().await;
    }

    /// An unguessable number that no upload has, and that names this server.
    fn new_id(&self) -> Result<UploadId> {
        loop {
            let mut bytes = [0; 8];
            let fault = |_| store::Error::io("naming an upload", io::Error::other("no random numbers"));
            aws_lc_rs::rand::fill(&mut bytes).map_err(fault)?;
            let id = UploadId::at(self.0.peers.me(), u64::from_le_bytes(bytes));
            if self.0.uploads.get(id).is_none() && self.0.uploads.ended(id).is_none() {
                return Ok(id);
            }
        }
    }
}

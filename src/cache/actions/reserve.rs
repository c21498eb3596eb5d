//! Reservations: one caller may upload an entry, and for a while no other caller may.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::permit::Permission;
use super::upload::ActionsUpload;
use super::upload_note::UploadNote;
use super::{Actions, CacheKey, Error, Result, UploadId, Version};
use crate::auth::{Identity, Ticket};
use crate::cache::load::Writer;
use crate::store::locks::KeyGuard;
use crate::store::{self, Precondition};

impl Actions {
    /// Reserves key and version in the writable namespace for an upload of `size` bytes, if the client says so.
    ///
    /// Whoever asks while another upload of it runs is told so, also the same token: one job may save a key from
    /// several processes. An upload that saw no request for some seconds gives way to the same token (the client did
    /// not get the answer), and to another one after its lease. One that is being committed never does.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::InUpload`], [`Error::WriteDenied`], [`Error::Busy`], [`Error::Store`], also if the
    /// tenant has too much under way.
    pub async fn reserve(
        &self,
        caller: &Identity,
        key: &CacheKey,
        version: &Version,
        size: Option<u64>,
    ) -> Result<UploadId> {
        let note = UploadNote::of(caller, key, version)?;
        let limit = self.largest(&note);
        if let Some(size) = size.filter(|size| *size > limit) {
            return Err(store::Error::TooLarge { size, limit }.into());
        }
        // Refused now rather than in the middle of the archive.
        let tenancy = note.tenancy.as_ref();
        self.0.loads.writes(tenancy, Writer::request(), limit).take(0)?;
        // A commit holds the lock of its key for as long as the bucket takes.
        let former = self.0.uploads.of(&note.name);
        if former.is_some_and(|former| former.is_committing()) {
            return Err(Error::InUpload);
        }
        let change = self.0.changes.lock(note.name.digest()).await;
        self.refuse_existing(&note).await?;
        self.end_former(&note).await?;
        self.ensure_slot(&note).await?;
        self.begin(note, change).await
    }

    /// Permission to send the body of an upload and nothing else, for a URL. It ends with the right to the upload.
    pub fn upload_ticket(&self, id: UploadId) -> Ticket {
        let payload = Permission::Write(id).encode();
        let latest = SystemTime::now() + self.0.settings.upload_age;
        let ends = self.0.uploads.get(id).map(|upload| upload.ends());
        self.0
            .keys
            .seal(&payload, ends.map_or(latest, |ends| ends.min(latest)))
    }

    /// Makes the upload under the lock of its key, whether the client waits or not. One whose client left is ended:
    /// nobody knows of it.
    async fn begin(&self, note: UploadNote, change: KeyGuard) -> Result<UploadId> {
        let this = self.clone();
        let (answer, asked) = tokio::sync::oneshot::channel();
        drop(self.0.tasks.spawn(async move {
            if let Err(Ok(upload)) = answer.send(this.make(note).await) {
                this.give_up(&upload).await;
            }
            drop(change);
        }));
        let made = asked.await.map_err(|_| store::Error::Stopping)?;
        made.map(|upload| upload.id)
    }

    async fn make(&self, note: UploadNote) -> Result<Arc<ActionsUpload>> {
        let id = self.new_id()?;
        let blocks = self.0.blocks.create(id.get(), note.encode()).await?;
        if let Some(upload) = self.0.store.early_upload(&note.name) {
            blocks.send_early(upload);
        }
        let ends = self.end_of_rights(note.expires);
        let upload = ActionsUpload::new(id, note, blocks, ends, self.0.settings.upload_age);
        self.0.uploads.insert(Arc::clone(&upload));
        Ok(upload)
    }

    /// An entry never changes. What is a miss for its age, and what the catalog knows and the store has lost, may be saved
    /// again. What the catalog does not know is asked for only where a rule bounds the age of entries; if the bucket
    /// cannot be asked, the commit decides.
    async fn refuse_existing(&self, note: &UploadNote) -> Result<()> {
        let known = self.known(note).await;
        if known.is_none() && !self.0.loads.rules().bounds_age() {
            return Ok(());
        }
        let exists = match self.remove_if_expired(note).await {
            Err(store::Error::Remote { .. }) if known.is_none() => return Ok(()),
            exists => exists?,
        };
        match known {
            Some(_) if exists => Err(Error::Exists),
            // Saved on another server a moment ago: the first commit in the bucket wins.
            Some(record) if !self.may_come(&record) => {
                self.0.catalog.forget(&note.committed(record)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the entry is there. One that is a miss for its age goes: it must not stand in the way of what takes its
    /// place.
    async fn remove_if_expired(&self, note: &UploadNote) -> store::Result<bool> {
        let Some(meta) = self.0.store.head(&note.name).await? else {
            return Ok(false);
        };
        let is_expired = self.0.loads.rules().is_too_old(&meta.origin);
        if is_expired {
            let same = Precondition::Matches(vec![meta.etag.clone()]);
            self.0.store.delete(&note.name, same).await?;
        }
        Ok(!is_expired)
    }

    /// The largest archive that the tenant of an upload may store, in bytes.
    pub(super) fn largest(&self, note: &UploadNote) -> u64 {
        let capacity = self.0.store.capacity();
        self.0.loads.largest(note.tenancy.as_ref(), capacity)
    }

    /// Ends the running upload of this entry if the new one may take its place. Under the lock of the key.
    async fn end_former(&self, note: &UploadNote) -> Result<()> {
        let Some(former) = self.0.uploads.of(&note.name) else {
            return Ok(());
        };
        if !former.gives_way_to(&note.holder) {
            return Err(Error::InUpload);
        }
        self.give_up(&former).await;
        Ok(())
    }

    /// Ends an upload that becomes no entry: its URLs say so from now on, its space is free. Under the lock of its key.
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

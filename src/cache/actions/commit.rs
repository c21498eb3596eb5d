//! Commits: an upload is checked and becomes a visible entry, once. A repeated call gets the same answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::entry::EntryRecord;
use super::upload::{ActionsUpload, ActivityKind};
use super::upload_note::UploadNote;
use super::uploads::EndedUpload;
use super::{Actions, CacheKey, EntryId, Error, Result, UploadAuth, UploadId, Version};
use crate::store::{self, Draft, Meta, Metadata, Origin, Precondition, Spool, Stored, TierName};

/// A save that waits on the disk for the bucket has no use for the bucket's answer about the journal: longer waits
/// would only hold up its client while the bucket is away.
const QUEUED_PATIENCE: Duration = Duration::from_millis(500);

impl Actions {
    /// Commits an upload by its number (first generation); the entry is visible afterwards. The same call
    /// again, with the same size, succeeds.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], [`Error::Size`], [`Error::Hole`], [`Error::Exists`] if another job was
    /// first, [`Error::Store`].
    pub async fn commit(&self, auth: &UploadAuth, id: UploadId, size: u64) -> Result<EntryId> {
        self.may_upload(auth, id)?;
        match self.0.uploads.get(id) {
            Some(upload) => self.complete(upload, size).await,
            None => answer(self.0.uploads.ended(id).ok_or(Error::UnknownUpload)?, size),
        }
    }

    /// Commits the upload of key and version in the writable namespace of `auth` (second generation). The
    /// same call again, with the same size, succeeds.
    ///
    /// # Errors
    /// As [`Actions::commit`], and [`Error::Incomplete`] if no body was put yet.
    pub async fn finalize(
        &self,
        auth: &UploadAuth,
        key: &CacheKey,
        version: &Version,
        size: u64,
    ) -> Result<EntryId> {
        let note = auth.note(key, version)?;
        let running = self.0.uploads.of(&note.name);
        if let Some(upload) = running.filter(|upload| auth.may_continue(&upload.note)) {
            return self.complete_body(upload, size).await;
        }
        if let UploadAuth::Caller(_) = auth {
            return self.find_committed(&note, size).await;
        }
        let ended = self.0.uploads.ended_of(&note.name);
        let ended = ended.filter(|ended| auth.may_continue(&ended.note));
        answer(ended.ok_or(Error::UnknownUpload)?, size)
    }

    /// For the second generation, where a client puts an empty body, too. In the first one it sends nothing for it.
    async fn complete_body(&self, upload: Arc<ActionsUpload>, size: u64) -> Result<EntryId> {
        match upload.blocks.has_body() {
            true => self.complete(upload, size).await,
            // The upload may have been committed a moment ago.
            false => answer(self.0.uploads.ended(upload.id).ok_or(Error::Incomplete)?, size),
        }
    }

    /// Commits in a task that runs to its end whether the client waits or not. Nobody ends the upload meanwhile.
    async fn complete(&self, upload: Arc<ActionsUpload>, size: u64) -> Result<EntryId> {
        let this = self.clone();
        let committing = upload.begin(ActivityKind::Commit);
        let completing = async move {
            let completed = this.complete_alone(&upload, size).await;
            drop(committing);
            completed
        };
        let task = self.0.tasks.spawn(completing);
        task.await.map_err(|_| store::Error::Stopping)?
    }

    async fn complete_alone(&self, upload: &ActionsUpload, size: u64) -> Result<EntryId> {
        let note = &upload.note;
        let _change = self.0.changes.lock(note.name.digest()).await;
        if let Some(ended) = self.0.uploads.ended(upload.id) {
            return answer(ended, size);
        }
        let limit = self.largest(note);
        if size > limit {
            return Err(store::Error::TooLarge { size, limit }.into());
        }
        let body = upload.blocks.assemble(size).await?;
        let stored = self.store(note, body).await;
        if matches!(stored, Err(Error::Exists)) {
            self.give_up(upload).await;
        }
        let entry = EntryId::of(&note.name, &stored?.etag);
        self.0.uploads.end(upload.id, Some((size, entry)));
        upload.blocks.remove().await;
        Ok(entry)
    }

    /// Stores the entry. If there is one already, the same bytes count as stored, and others are an error.
    async fn store(&self, note: &UploadNote, body: Spool) -> Result<Arc<Meta>> {
        let etag = body.checksums().etag();
        let draft = Draft {
            origin: Origin {
                issuer: Arc::clone(note.namespace.issuer()),
                subject: Arc::clone(&note.subject),
                stored: SystemTime::now(),
                tenancy: note.tenancy.clone(),
            },
            metadata: Metadata::default(),
        };
        let putting = self.0.store.put(&note.name, draft, body, Precondition::Absent);
        match putting.await {
            Err(store::Error::Precondition) => {}
            other => {
                let Stored { meta, tier } = other?;
                let patience = match self.0.store.is_remote() && tier == TierName::DISK {
                    true => QUEUED_PATIENCE,
                    false => Duration::MAX,
                };
                // The time of the commit orders entries, however long the body took.
                self.publish(note, &meta, SystemTime::now(), patience).await;
                return Ok(meta);
            }
        }
        // After a crash between the entry and the answer, or the upload of another job.
        let winner = self.0.store.head(&note.name).await?.ok_or(Error::Exists)?;
        match self
            .known(note)
            .await
            .filter(|record| record.etag() == winner.etag)
        {
            // The crash may have come before the other servers were told.
            Some(record) => self.0.catalog.commit(note.committed(record)).await,
            None => {
                self.publish(note, &winner, winner.origin.stored, Duration::MAX)
                    .await;
            }
        }
        match winner.etag == etag {
            true => Ok(winner),
            false => Err(Error::Exists),
        }
    }

    /// Makes look-ups find the entry, at once on all servers that can be reached, a little later on the others.
    async fn publish(&self, note: &UploadNote, meta: &Meta, committed: SystemTime, patience: Duration) {
        let Some(record) = EntryRecord::at(committed, meta.size, &meta.etag) else {
            tracing::error!("an entry has a tag that is none of ours, and is not found");
            return;
        };
        let catalog = &self.0.catalog;
        catalog.commit_within(note.committed(record), patience).await;
    }

    /// The entry that a repeated call means, also after a restart or on another server. A client that did not get
    /// the first answer must not fail.
    async fn find_committed(&self, note: &UploadNote, size: u64) -> Result<EntryId> {
        let record = self.known(note).await.ok_or(Error::UnknownUpload)?;
        let entry = same_size(record.size, EntryId::of(&note.name, &record.etag()), size)?;
        // The crash before the first answer may have come before the other servers were told.
        self.0.catalog.commit(note.committed(record)).await;
        Ok(entry)
    }

    /// What the catalog has under the key of an upload.
    pub(super) async fn known(&self, note: &UploadNote) -> Option<EntryRecord> {
        let catalog = &self.0.catalog;
        catalog.exact(&note.namespace, &note.version, &note.key).await
    }
}

fn answer(ended: EndedUpload, size: u64) -> Result<EntryId> {
    match ended.entry {
        Some((stored, entry)) => same_size(stored, entry, size),
        None => Err(Error::Ended),
    }
}

fn same_size(received: u64, entry: EntryId, declared: u64) -> Result<EntryId> {
    match received == declared {
        true => Ok(entry),
        false => Err(Error::Size { declared, received }),
    }
}

//! Writes and deletes, in an order that cannot bring old bytes back.

use std::sync::Arc;

use tokio::time::Instant;

use super::TieredCore;
use crate::config::WriteMode;
use crate::store::disk::Mark;
use crate::store::remote::RemoteUpload;
use crate::store::{
    Digest, Draft, Error, Precondition, RemoteErrorKind, Result, Spool, Store, StoreKey, Stored, early,
};

impl TieredCore {
    /// See [`Store::put`].
    pub(super) async fn put(
        self: &Arc<Self>,
        key: &StoreKey,
        draft: Draft,
        mut body: Spool,
        precondition: Precondition,
    ) -> Result<Stored> {
        let digest = key.digest();
        // What waits already is the truth about its key, so what follows it has to wait, too.
        if self.queue.is_waiting(digest) || self.policy.write == WriteMode::Back && self.has_room_for(&body) {
            // The queue sends it from the disk.
            drop(body.take_uploaded_parts());
            let (core, key) = (Arc::clone(self), key.clone());
            let put = async move { core.put_back(&key, draft, body, precondition).await };
            return self.unbroken(put).await;
        }
        let upload = early::upload(&self.remote, key, &draft, &mut body).await?;
        let (core, key) = (Arc::clone(self), key.clone());
        let put = async move { core.put_through(&key, draft, body, upload, precondition).await };
        self.unbroken(put).await
    }

    /// Whether one more body may wait for its upload.
    fn has_room_for(&self, body: &Spool) -> bool {
        self.local.stats().pinned.saturating_add(body.len()) <= self.policy.queue_limit
    }

    /// The remote tier first.
    async fn put_through(
        &self,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        upload: Box<dyn RemoteUpload>,
        precondition: Precondition,
    ) -> Result<Stored> {
        let digest = key.digest();
        let _change = self.changes.lock(digest).await;
        // After a crash between the two commits the local copy would be the former version.
        let copy = self.local.contains(digest).await?;
        if copy {
            self.local.set_mark(digest, Mark::Doubt, Vec::new()).await?;
        }
        let began = Instant::now();
        let committed = upload.commit(&precondition).await;
        // A fill that began before may have read the former version.
        self.fills.outdate(digest);
        let outcome = match committed {
            Ok(entry) => {
                self.put_local(key, draft, body, began).await;
                self.settle(digest).await;
                let tier = self.remote.name();
                Ok(Stored {
                    meta: entry.meta,
                    tier,
                })
            }
            Err(error) => {
                let fault = error.remote_error_kind();
                if copy && fault.is_some_and(RemoteErrorKind::leaves_doubt) {
                    self.drop_local(key).await;
                }
                Err(error)
            }
        };
        if copy {
            self.unmark(digest, Mark::Doubt).await;
        }
        outcome
    }

    /// The disk after the remote tier: if it cannot keep the entry, it must not keep the former one.
    async fn put_local(&self, key: &StoreKey, draft: Draft, body: Spool, began: Instant) {
        match self.local.put(key, draft, body, Precondition::None).await {
            Ok(_) => self.freshness.note(key, began),
            Err(error) => {
                if !matches!(error, Error::Stopping) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "an entry could not be kept on the disk");
                }
                self.drop_local(key).await;
            }
        }
    }

    /// The disk first; the queue sends the change to the remote tier.
    async fn put_back(
        &self,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        precondition: Precondition,
    ) -> Result<Stored> {
        let digest = key.digest();
        let _change = self.changes.lock(digest).await;
        self.hold(key, &precondition).await?;
        self.local.pin(digest);
        let stored = self.local.put(key, draft, body, Precondition::None).await;
        if stored.is_err() && !self.queue.is_upload(digest) {
            self.local.unpin(digest);
        }
        let stored = stored?;
        self.fills.outdate(digest);
        let first = precondition == Precondition::Absent;
        let note = if first { FIRST_WRITE_NOTE } else { b"" };
        self.local.set_mark(digest, Mark::Upload, note.to_vec()).await?;
        if self.queue.is_deleted(digest) {
            self.unmark(digest, Mark::Deleted).await;
        }
        self.queue.upload(*digest, first);
        Ok(stored)
    }

    /// See [`Store::delete`].
    pub(super) async fn delete(self: &Arc<Self>, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        let (core, key) = (Arc::clone(self), key.clone());
        let delete = async move { core.delete_both(&key, precondition).await };
        self.unbroken(delete).await
    }

    /// The disk first: an entry whose delete failed later is not served from the disk.
    async fn delete_both(&self, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        let digest = key.digest();
        let _change = self.changes.lock(digest).await;
        self.hold(key, &precondition).await?;
        let known_gone = self.queue.is_deleted(digest);
        let was_local = self.local.delete(key, Precondition::None).await?;
        self.fills.outdate(digest);
        let outcome = self.remote.delete(key, &Precondition::None).await;
        // Again: a fill may have asked in between.
        self.fills.outdate(digest);
        match outcome {
            Ok(existed) => {
                self.settle(digest).await;
                Ok(was_local || existed && !known_gone)
            }
            Err(error) if self.policy.write == WriteMode::Back && error.remote_error_kind().is_some() => {
                let note = key.canonical();
                self.local.set_mark(digest, Mark::Deleted, note).await?;
                self.unmark(digest, Mark::Upload).await;
                self.local.unpin(digest);
                self.queue.delete(key.clone());
                Ok(!known_gone)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether `precondition` holds for what a reader would get. Under the lock of the key.
    async fn hold(&self, key: &StoreKey, precondition: &Precondition) -> Result<()> {
        if *precondition == Precondition::None {
            return Ok(());
        }
        let digest = key.digest();
        let current = if self.queue.is_deleted(digest) {
            None
        } else if self.queue.is_upload(digest) {
            self.local.head(key).await?
        } else {
            self.remote.head(key).await?.map(|entry| entry.meta)
        };
        match precondition.holds(current.as_deref().map(|meta| &meta.etag)) {
            true => Ok(()),
            false => Err(Error::Precondition),
        }
    }

    /// The remote tier knows what the disk knows: nothing waits any more.
    pub(super) async fn settle(&self, digest: &Digest) {
        if let Some(mark) = self.queue.mark_of(digest) {
            self.unmark(digest, mark).await;
            self.local.unpin(digest);
            self.queue.settle(digest);
        }
    }

    /// A mark that stays costs a look at the next start, no more.
    pub(super) async fn unmark(&self, digest: &Digest, mark: Mark) {
        if let Err(error) = self.local.clear_mark(digest, mark).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a mark of the cache directory could not be removed");
        }
    }

    pub(super) async fn drop_local(&self, key: &StoreKey) {
        if let Err(error) = self.local.delete(key, Precondition::None).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "an outdated entry could not be removed from the disk");
        }
    }
}

/// The note of an upload that must not replace anything.
pub(super) const FIRST_WRITE_NOTE: &[u8] = b"first";

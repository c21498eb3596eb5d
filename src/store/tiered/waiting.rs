//! Changes that are answered before the remote tier has them, and the end of every change: its record goes.

use std::sync::Arc;

use super::TieredCore;
use super::queue::{ChangeKind, Claim, QueueRoom};
use super::record::{Former, Intent, KeyRecord, KeyState};
use crate::store::{Digest, Draft, Error, Precondition, Result, Spool, Store, StoreKey, Stored};

/// What became of a write that was to wait.
pub(super) enum Queued {
    /// It waits, and may be answered.
    Done(Stored),
    /// Too much waits already. Nothing was changed.
    NoRoom(Box<(Draft, Spool)>),
}

impl TieredCore {
    /// A write that waits for the remote tier, if there is room for it to wait.
    pub(super) async fn put_queued(
        self: &Arc<Self>,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        precondition: &Precondition,
    ) -> Result<Queued> {
        let (core, key, precondition) = (Arc::clone(self), key.clone(), precondition.clone());
        let put = async move {
            let _change = core.changes.lock(key.digest()).await;
            core.resolve(key.digest()).await?;
            core.put_back(&key, draft, body, &precondition).await
        };
        self.unbroken(put).await
    }

    /// The disk first; the queue sends the change to the remote tier. Under the lock of the key, which is resolved.
    ///
    /// The record is written before the disk commits, and says what holds if that does not happen. So whatever is
    /// visible here is queued, and what failed is not visible.
    pub(super) async fn put_back(
        &self,
        key: &StoreKey,
        draft: Draft,
        mut body: Spool,
        precondition: &Precondition,
    ) -> Result<Queued> {
        let (digest, size) = (key.digest(), body.len());
        let former = self.queue.former(digest);
        let first = is_first(precondition, former);
        let etag = Some(body.checksums().etag());
        let kind = ChangeKind::Upload {
            first,
            size,
            etag: etag.clone(),
        };
        let writer = draft.origin.tenancy.as_ref();
        let bounds = self.local.waiting_bounds(writer.map(|writer| &writer.tenant));
        let Some(room) = self.queue.reserve(key, &kind, Claim::Known, bounds) else {
            return Ok(Queued::NoRoom(Box::new((draft, body))));
        };
        self.hold(key, precondition).await?;
        // The queue sends it from the disk.
        drop(body.take_uploaded_parts());
        let intent = Intent {
            etag,
            size,
            after: self.local.generation(digest).await?,
            first,
            former,
        };
        let record = KeyRecord::new(key, KeyState::Uploading(intent));
        self.record(&record).await?;
        self.local.pin(digest);
        match self.local.put(key, draft, body, Precondition::None).await {
            Ok(stored) => {
                self.queue.add(key, kind, room);
                self.changed(key).await;
                Ok(Queued::Done(stored))
            }
            Err(error) => {
                self.not_put(key, former, &error).await;
                Err(error)
            }
        }
    }

    /// Writes the record of a key. After an error the new one may be in place nevertheless: it must not stand for a
    /// later change, so it goes where nothing is known of the key. Under the lock of the key.
    pub(super) async fn record(&self, record: &KeyRecord) -> Result<()> {
        let digest = record.key.digest();
        let set = self.local.set_record(digest, record.encode()).await;
        if let Err(error) = &set
            && !matches!(error, Error::Stopping)
            && self.queue.job(digest).is_none()
        {
            self.queue.add_local(&record.key, ChangeKind::Clear);
        }
        set
    }

    /// The disk did not take what was announced. The former state holds, as the record says already.
    async fn not_put(&self, key: &StoreKey, former: Former, error: &Error) {
        if matches!(error, Error::Stopping) {
            return;
        }
        match former {
            Former::Upload { .. } => {}
            Former::Delete => self.local.unpin(key.digest()),
            Former::Nothing => self.finish(key).await,
        }
    }

    /// A delete of what the remote tier may not know: it is announced, then nothing is served, then the copies go.
    pub(super) async fn delete_waiting(
        &self,
        key: &StoreKey,
        copy: bool,
        room: QueueRoom<'_>,
    ) -> Result<bool> {
        let was_gone = self.queue.former(key.digest()) == Former::Delete;
        self.begin_delete(key, room).await?;
        match self.remote.delete(key, &Precondition::None).await {
            Ok(existed) => {
                // Again: a fill may have asked in between.
                self.arrived(key).await;
                if !self.local.contains(key.digest()).await.unwrap_or(true) {
                    self.finish(key).await;
                }
                Ok(copy || existed && !was_gone)
            }
            Err(error) if error.remote_error_kind().is_some() => Ok(!was_gone),
            Err(error) => Err(error),
        }
    }

    /// From the return of this on, the key is a miss, and the delete happens sooner or later.
    pub(super) async fn begin_delete(&self, key: &StoreKey, room: QueueRoom<'_>) -> Result<()> {
        let record = KeyRecord::new(key, KeyState::Deleting);
        self.record(&record).await?;
        self.queue.add(key, ChangeKind::Delete, room);
        self.changed(key).await;
        // If it stays, nobody gets it, and the queue tries again.
        self.drop_local(key).await;
        Ok(())
    }

    /// Whether `precondition` holds for what a reader would get. Under the lock of the key.
    pub(super) async fn hold(&self, key: &StoreKey, precondition: &Precondition) -> Result<()> {
        if *precondition == Precondition::None {
            return Ok(());
        }
        let current = match self.queue.former(key.digest()) {
            Former::Delete => None,
            Former::Upload { .. } => self.local.head(key).await?,
            Former::Nothing => match self.remote.head(key).await {
                Ok(entry) => entry.map(|entry| entry.meta),
                // What this server knows counts until the remote tier can decide.
                Err(error)
                    if *precondition == Precondition::Absent && self.may_queue() && self.is_away(&error) =>
                {
                    self.local.head(key).await?
                }
                Err(error) => return Err(error),
            },
        };
        match precondition.holds(current.as_deref().map(|meta| &meta.etag)) {
            true => Ok(()),
            false => Err(Error::Precondition),
        }
    }

    /// Both tiers agree: nothing waits any more, and the record goes. One that stays is removed later, and no later
    /// change is taken for it.
    pub(super) async fn finish(&self, key: &StoreKey) {
        let digest = key.digest();
        match self.local.clear_record(digest).await {
            Ok(()) => self.queue.settle(digest),
            Err(error) => {
                complain_of_disk(digest, &error, "the record of an entry could not be removed");
                self.queue.add_local(key, ChangeKind::Clear);
            }
        }
        self.local.unpin(digest);
    }

    /// The same where there may be no record.
    pub(super) async fn finish_if_recorded(&self, key: &StoreKey, recorded: bool) {
        if recorded || self.queue.job(key.digest()).is_some() {
            self.finish(key).await;
        }
    }

    /// The local copy may not be what the remote tier has: it goes. One that cannot be removed is not served, and
    /// its record stays.
    pub(super) async fn drop_doubtful(&self, key: &StoreKey) {
        match self.drop_local(key).await {
            true => self.finish(key).await,
            false => self.queue.add_local(key, ChangeKind::Drop),
        }
    }

    /// Removes the local copy, whatever it is. `false` if it is still there.
    pub(super) async fn drop_local(&self, key: &StoreKey) -> bool {
        let dropped = self.local.discard(key.digest()).await;
        if let Err(error) = &dropped {
            let text = "an outdated entry could not be removed from the disk; it is not served";
            complain_of_disk(key.digest(), error, text);
        }
        dropped.is_ok()
    }
}

/// Whether an upload must not replace what another server has stored.
fn is_first(precondition: &Precondition, former: Former) -> bool {
    match (precondition, former) {
        (Precondition::None, _) => false,
        // What another server has is what was deleted here.
        (_, Former::Delete) => false,
        // It follows one that must not.
        (_, Former::Upload { first, .. }) => first,
        (precondition, Former::Nothing) => *precondition == Precondition::Absent,
    }
}

fn complain_of_disk(digest: &Digest, error: &Error, text: &'static str) {
    if !matches!(error, Error::Stopping) {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, entry = digest.short(), "{text}");
    }
}

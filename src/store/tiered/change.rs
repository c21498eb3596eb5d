//! Writes and deletes, in an order that cannot bring old bytes back. Those that wait are in [`super::waiting`].

use std::sync::Arc;

use tokio::time::Instant;

use super::TieredCore;
use super::queue::{ChangeKind, Claim, QueueRoom};
use super::record::{KeyRecord, KeyState};
use super::waiting::Queued;
use crate::config::{WhenDown, WriteMode};
use crate::store::remote::RemoteUpload;
use crate::store::{
    Draft, Error, Precondition, RemoteErrorKind, RemoteHealth, Result, Spool, Store, StoreKey, Stored, early,
};

impl TieredCore {
    /// See [`Store::put`].
    pub(super) async fn put(
        self: &Arc<Self>,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        precondition: Precondition,
    ) -> Result<Stored> {
        let (mut draft, mut body) = (draft, body);
        // What waits already is the truth about its key, so what follows it has to wait, too.
        if self.queues_now() || self.queue.is_waiting(key.digest()) {
            match self.put_queued(key, draft, body, &precondition).await? {
                Queued::Done(stored) => return Ok(stored),
                Queued::NoRoom(former) => (draft, body) = *former,
            }
        }
        let upload = match early::upload(&self.remote, key, &draft, &mut body).await {
            Ok(upload) => upload,
            Err(error) if self.may_queue() && self.is_away(&error) => {
                return match self.put_queued(key, draft, body, &precondition).await? {
                    Queued::Done(stored) => Ok(stored),
                    Queued::NoRoom(_) => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        let (core, key) = (Arc::clone(self), key.clone());
        let put = async move { core.put_through(&key, draft, body, upload, precondition).await };
        self.unbroken(put).await
    }

    /// Whether changes are answered when the disk has them.
    pub(super) fn queues_now(&self) -> bool {
        self.policy.write == WriteMode::Back
            || self.policy.when_down == WhenDown::Queue && self.remote.health() != RemoteHealth::Up
    }

    /// Whether a change that the remote tier does not take now may wait.
    pub(super) fn may_queue(&self) -> bool {
        self.policy.write == WriteMode::Back || self.policy.when_down == WhenDown::Queue
    }

    /// Whether an error says that the remote tier cannot be used at the moment, whatever is asked of it.
    pub(super) fn is_away(&self, error: &Error) -> bool {
        let down = || self.remote.health() != RemoteHealth::Up;
        let kind = error.remote_error_kind();
        kind.is_some_and(|kind| kind.is_of_the_tier() || down())
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
        self.resolve(digest).await?;
        let (mut draft, mut body) = (draft, body);
        if self.queue.is_waiting(digest) {
            match self.put_back(key, draft, body, &precondition).await? {
                Queued::Done(stored) => return Ok(stored),
                Queued::NoRoom(former) => (draft, body) = *former,
            }
            self.flush_all(key).await?;
        }
        // After a crash between the two commits the local copy would be the former version.
        let copy = self.local.contains(digest).await?;
        let recorded = self.announce(key, copy).await?;
        let began = Instant::now();
        match upload.commit(&precondition).await {
            Ok(entry) => {
                self.changed(key).await;
                self.put_local(key, draft, body, (began, recorded)).await;
                let tier = self.remote.name();
                Ok(Stored {
                    meta: entry.meta,
                    tier,
                })
            }
            Err(error) if self.may_queue() && self.is_away(&error) => {
                // The next record says nothing of this doubt: the copy has to go before it is written.
                if copy && !self.is_sure(key, &error).await {
                    return Err(self.give_up(key, copy, error).await);
                }
                match self.put_back(key, draft, body, &precondition).await {
                    Ok(Queued::Done(stored)) => Ok(stored),
                    Ok(Queued::NoRoom(_)) => Err(self.give_up(key, copy, error).await),
                    Err(refused) => {
                        self.give_up(key, copy, error).await;
                        Err(refused)
                    }
                }
            }
            Err(error) => Err(self.give_up(key, copy, error).await),
        }
    }

    /// Whether there is no local copy that may be older than what the remote tier has after `error`.
    async fn is_sure(&self, key: &StoreKey, error: &Error) -> bool {
        let in_doubt = error
            .remote_error_kind()
            .is_some_and(RemoteErrorKind::leaves_doubt);
        !in_doubt || self.drop_local(key).await
    }

    /// Sends what waits about a key, if something does. Under the lock of the key.
    async fn flush_all(&self, key: &StoreKey) -> Result<()> {
        match self.queue.job(key.digest()) {
            Some(job) if self.queue.is_waiting(key.digest()) => self.flush(&job).await,
            _ => Ok(()),
        }
    }

    /// Says on the disk that the remote tier is about to change. Without a local copy nothing can be in doubt, but a
    /// record that could not be removed must not stand for this change. Answers whether there is a record now.
    async fn announce(&self, key: &StoreKey, copy: bool) -> Result<bool> {
        let recorded = copy || self.queue.job(key.digest()).is_some();
        if recorded {
            let record = KeyRecord::new(key, KeyState::Committing);
            self.record(&record).await?;
        }
        Ok(recorded)
    }

    /// The remote tier did not take a change that was announced. Gives the error back.
    async fn give_up(&self, key: &StoreKey, copy: bool, error: Error) -> Error {
        // A fill that began before may have read what is no longer there.
        self.fills.outdate(key.digest());
        if matches!(error, Error::Stopping) {
            // As a crash here: the record stays.
            return error;
        }
        let fault = error.remote_error_kind();
        if copy && fault.is_some_and(RemoteErrorKind::leaves_doubt) {
            self.drop_doubtful(key).await;
        } else {
            self.finish_if_recorded(key, copy).await;
        }
        error
    }

    /// The disk after the remote tier: if it cannot keep the entry, it must not keep the former one.
    async fn put_local(&self, key: &StoreKey, draft: Draft, body: Spool, (began, recorded): (Instant, bool)) {
        match self.local.put(key, draft, body, Precondition::None).await {
            Ok(_) => {
                self.freshness.note(key, began);
                self.finish_if_recorded(key, recorded).await;
            }
            // As a crash here: the record stays.
            Err(Error::Stopping) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an entry could not be kept on the disk"
                );
                self.drop_doubtful(key).await;
            }
        }
    }

    /// See [`Store::delete`].
    pub(super) async fn delete(self: &Arc<Self>, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        let (core, key) = (Arc::clone(self), key.clone());
        let delete = async move { core.delete_both(&key, precondition).await };
        self.unbroken(delete).await
    }

    async fn delete_both(&self, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        let digest = key.digest();
        let _change = self.changes.lock(digest).await;
        self.resolve(digest).await?;
        self.hold(key, &precondition).await?;
        let copy = self.local.contains(digest).await?;
        if self.queue.is_waiting(digest) || copy && self.queues_now() {
            let room = self.room_for_delete(key, Claim::Known);
            if let Some(room) = room {
                return self.delete_waiting(key, copy, room).await;
            }
        }
        self.delete_through(key, copy).await
    }

    /// The remote tier first.
    async fn delete_through(&self, key: &StoreKey, copy: bool) -> Result<bool> {
        self.announce(key, copy).await?;
        match self.remote.delete(key, &Precondition::None).await {
            Ok(existed) => {
                self.changed(key).await;
                match copy {
                    true => self.drop_doubtful(key).await,
                    false => self.finish_if_recorded(key, false).await,
                }
                Ok(copy || existed)
            }
            Err(error) if self.delete_may_wait(&error) => {
                let claim = if copy { Claim::Known } else { Claim::Unknown };
                match self.room_for_delete(key, claim) {
                    Some(room) => match self.begin_delete(key, room).await {
                        Ok(()) => Ok(true),
                        Err(refused) => {
                            self.give_up(key, copy, error).await;
                            Err(refused)
                        }
                    },
                    None => Err(self.give_up(key, copy, error).await),
                }
            }
            Err(error) => Err(self.give_up(key, copy, error).await),
        }
    }

    fn room_for_delete(&self, key: &StoreKey, claim: Claim) -> Option<QueueRoom<'_>> {
        let bounds = self.local.waiting_bounds(None);
        self.queue.reserve(key, &ChangeKind::Delete, claim, bounds)
    }

    fn delete_may_wait(&self, error: &Error) -> bool {
        let back = self.policy.write == WriteMode::Back && error.remote_error_kind().is_some();
        back || self.may_queue() && self.is_away(error)
    }
}

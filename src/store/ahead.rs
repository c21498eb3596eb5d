//! Bodies that reach the far tier while their client still sends them, so that a commit has only the rest to
//! send.
//!
//! A tier says whether it wants that ([`Ahead`]); an upload in blocks does it ([`super::blocks`]); what was sent
//! goes with the body into [`super::Store::put`] ([`Sent`]). All of it saves time and nothing else: whatever
//! goes wrong on the way, the body is sent as if nothing had been.

use std::fmt::Debug;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use super::remote::{Remote, RemoteParts, RemoteUpload};
use super::{Draft, Error, Result, Spool, StoreKey};
use crate::tasks::Tasks;

/// Parts of all uploads of a tier that are under way at once: commits want permits of the far tier, too.
const AT_ONCE: usize = 8;

/// The turns of all uploads of one tier. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// How parts of one entry are sent before its body is whole. Cheap to clone; asks nobody.
#[derive(Debug, Clone)]
pub struct Ahead {
    remote: Arc<dyn Remote>,
    key: StoreKey,
    turns: Turns,
}

impl Ahead {
    pub(crate) fn new(remote: &Arc<dyn Remote>, key: &StoreKey, turns: &Turns) -> Self {
        Self {
            remote: Arc::clone(remote),
            key: key.clone(),
            turns: turns.clone(),
        }
    }

    /// Length of every part in bytes.
    pub(crate) fn part_size(&self) -> u64 {
        self.remote.part_size()
    }

    /// See [`Remote::begin`].
    pub(crate) async fn begin(&self) -> Result<Box<dyn RemoteParts>> {
        self.remote.begin(&self.key).await
    }

    /// Waits for the right to send one part. `None` never happens: the turns are never closed.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns.0).acquire_owned().await.ok()
    }

    /// What is sent ends with the far tier.
    pub(crate) fn tasks(&self) -> &Tasks {
        self.remote.tasks()
    }
}

/// Ends with the parts that S3 has, or with nothing after a failure.
pub(crate) type Sending = JoinHandle<Option<Box<dyn RemoteParts>>>;

/// Parts of a body that the far tier has, or is about to get. Dropped, nothing of them stays.
#[derive(Debug)]
pub struct Sent {
    sending: Sending,
    /// Ends the task, which drops the parts.
    _stop: DropGuard,
}

impl Sent {
    /// `sending` begins no further part, and ends at once when `stop` is dropped.
    pub(crate) fn new(sending: Sending, stop: DropGuard) -> Self {
        Self { sending, _stop: stop }
    }

    /// Waits for the parts that are under way.
    async fn parts(mut self) -> Option<Box<dyn RemoteParts>> {
        (&mut self.sending).await.ok().flatten()
    }
}

/// Sends a whole body, or what of it was not sent ahead.
///
/// # Errors
/// As [`Remote::upload`].
pub(crate) async fn upload(
    remote: &Arc<dyn Remote>,
    key: &StoreKey,
    draft: &Draft,
    body: &mut Spool,
) -> Result<Box<dyn RemoteUpload>> {
    let sent = body.take_sent();
    let parts = match sent {
        Some(sent) => sent.parts().await,
        None => None,
    };
    if let Some(parts) = parts {
        match parts
            .finish(draft.clone(), body.checksums(), body.content())
            .await
        {
            // Somebody may have removed the upload, or it has too many parts: from the beginning, then.
            Err(error @ (Error::Remote { .. } | Error::TooLarge { .. })) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(
                    error,
                    "what was sent ahead cannot be used; the whole body is sent"
                );
            }
            other => return other,
        }
    }
    remote
        .upload(key, draft.clone(), body.checksums(), body.content())
        .await
}

//! Bodies that reach the remote tier while their client still sends them, so that a commit has only the rest to
//! send.
//!
//! A tier says whether it wants that ([`EarlyUpload`]); an upload in blocks does it ([`super::blocks`]); what was
//! sent goes with the body into [`super::Store::put`] ([`super::UploadedParts`]). All of it saves time and nothing
//! else: whatever goes wrong on the way, the body is sent as if nothing had been.

use std::sync::Arc;

use super::remote::{RemoteParts, RemoteTier, RemoteUpload};
use super::turns::{FairPermit, FairSemaphore};
use super::{Draft, Error, Result, Spool, StoreKey};
use crate::tasks::Tasks;

/// Parts of all uploads of a tier that are under way at once: commits want permits of the remote tier, too.
const MAX_PARTS_UNDER_WAY: usize = 8;

/// How many parts all uploads of one tier may send at once. Tenants take turns.
pub(crate) fn upload_slots() -> Arc<FairSemaphore> {
    FairSemaphore::new(MAX_PARTS_UNDER_WAY)
}

/// How parts of one entry are sent before its body is whole. Cheap to clone; making one sends no request.
#[derive(Debug, Clone)]
pub struct EarlyUpload {
    remote: Arc<dyn RemoteTier>,
    key: StoreKey,
    slots: Arc<FairSemaphore>,
}

impl EarlyUpload {
    pub(crate) fn new(remote: &Arc<dyn RemoteTier>, key: &StoreKey, slots: &Arc<FairSemaphore>) -> Self {
        Self {
            remote: Arc::clone(remote),
            key: key.clone(),
            slots: Arc::clone(slots),
        }
    }

    /// Length of every part in bytes.
    pub(crate) fn part_size(&self) -> u64 {
        self.remote.part_size()
    }

    /// See [`RemoteTier::begin`].
    pub(crate) async fn begin(&self) -> Result<Box<dyn RemoteParts>> {
        self.remote.begin(&self.key).await
    }

    /// Waits for the right to send one part.
    pub(crate) async fn slot(&self) -> FairPermit {
        self.slots.acquire(self.key.asker()).await
    }

    /// The tasks of the remote tier: whatever sends to it ends with it.
    pub(crate) fn tasks(&self) -> &Tasks {
        self.remote.tasks()
    }
}

/// Sends a whole body, or what of it was not sent early.
///
/// # Errors
/// As [`RemoteTier::upload`].
pub(crate) async fn upload(
    remote: &Arc<dyn RemoteTier>,
    key: &StoreKey,
    draft: &Draft,
    body: &mut Spool,
) -> Result<Box<dyn RemoteUpload>> {
    let parts = match body.take_uploaded_parts() {
        Some(parts) => parts.arrived().await,
        None => None,
    };
    if let Some(parts) = parts {
        match parts
            .finish(draft.clone(), body.checksums(), body.content())
            .await
        {
            // The upload was removed in the remote tier, or it has too many parts: from the beginning, then.
            Err(error @ (Error::Remote { .. } | Error::TooLarge { .. })) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(
                    error,
                    "what was sent early cannot be used; the whole body is sent"
                );
            }
            other => return other,
        }
    }
    remote
        .upload(key, draft.clone(), body.checksums(), body.content())
        .await
}

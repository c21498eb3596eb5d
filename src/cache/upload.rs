//! A running write of an entry.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::auth::Identity;
use crate::store::spool::SpoolWriter;
use crate::store::{Draft, Error, Metadata, Origin, Precondition, Result, Store, StoreKey, Stored};

/// A body on its way into an entry. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct EntryUpload {
    store: Arc<dyn Store>,
    key: StoreKey,
    writer: SpoolWriter,
    draft: Draft,
    precondition: Precondition,
}

impl EntryUpload {
    pub(super) fn new(
        store: Arc<dyn Store>,
        key: StoreKey,
        writer: SpoolWriter,
        caller: &Identity,
        precondition: Precondition,
    ) -> Self {
        let origin = Origin {
            issuer: Arc::clone(&caller.issuer),
            subject: Arc::clone(&caller.subject),
            stored: SystemTime::now(),
        };
        let draft = Draft {
            origin,
            metadata: Metadata::default(),
        };
        Self {
            store,
            key,
            writer,
            draft,
            precondition,
        }
    }

    /// Small strings that are given back with the entry.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.draft.metadata
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NoSpace`] and errors of the tier. The upload cannot go on then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let size = self.writer.written().saturating_add(chunk.len() as u64);
        let limit = self.store.capacity();
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        self.writer.write(chunk).await
    }

    /// Makes the entry visible, whole. The caller has checked that the body is complete.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn commit(mut self) -> Result<Stored> {
        let body = self.writer.finish().await?;
        self.draft.origin.stored = SystemTime::now();
        self.store
            .put(&self.key, self.draft, body, self.precondition)
            .await
    }
}

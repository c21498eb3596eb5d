//! Removing an entry.

use std::sync::Arc;

use super::core::Core;
use super::error::{S3Error, S3ErrorKind};
use super::stats::Op;
use crate::store::{Error, Precondition, RemoteErrorKind, Result, StoreKey};

/// How often a delete is tried when another writer has changed the object.
const MAX_ATTEMPTS: u32 = 8;
const OPERATION: &str = "deleting an object";

impl Core {
    /// See [`crate::store::remote::RemoteTier::delete`]. An object that is not the entry is left alone.
    pub(super) async fn delete(
        self: &Arc<Self>,
        key: &StoreKey,
        precondition: &Precondition,
    ) -> Result<bool> {
        for _ in 0..MAX_ATTEMPTS {
            let seen = self
                .describe(key)
                .await
                .map_err(|failure| failure.at(OPERATION))?;
            let found = seen.and_then(|seen| Some((seen.entry.ok()?, seen.etag)));
            if !precondition.holds(found.as_ref().map(|(entry, _)| &entry.meta.etag)) {
                return Err(Error::Precondition);
            }
            let Some((_, etag)) = found else {
                return Ok(false);
            };
            let expected = (*precondition != Precondition::None).then_some(etag);
            match self.remove(key, expected).await {
                Ok(()) => return Ok(true),
                Err(failure) if matches!(failure.kind, S3ErrorKind::Precondition | S3ErrorKind::Conflict) => {
                }
                Err(failure) => return Err(failure.at(OPERATION)),
            }
        }
        Err(S3Error::new(RemoteErrorKind::Other, "the object changed again and again").at(OPERATION))
    }

    /// Removes the object; only the version `expected` where the server knows such a condition.
    async fn remove(self: &Arc<Self>, key: &StoreKey, expected: Option<String>) -> Result<(), S3Error> {
        let request = |expected| {
            self.client
                .delete_object()
                .bucket(self.bucket())
                .key(self.name(key))
                .set_if_match(expected)
                .send()
        };
        let conditional = expected.is_some();
        match self.call(Op::Delete, request(expected)).await {
            Err(failure) if failure.kind == S3ErrorKind::Unsupported && conditional => {
                self.call(Op::Delete, request(None)).await.map(drop)
            }
            // Another caller has removed it meanwhile.
            Err(failure) if failure.kind == S3ErrorKind::Missing => Ok(()),
            other => other.map(drop),
        }
    }
}

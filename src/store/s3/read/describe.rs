//! The description of an object.

use std::sync::Arc;

use super::{
    Attempt, FoundObject, MAX_ATTEMPTS, ObjectHead, before_next, is_changed, keeps_changing, length_of,
    no_etag,
};
use crate::store::StoreKey;
use crate::store::s3::core::Core;
use crate::store::s3::error::{S3Error, S3ErrorKind};
use crate::store::s3::object;
use crate::store::s3::stats::Op;

impl Core {
    /// The object of an entry, without its body.
    pub(in crate::store::s3) async fn describe(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<FoundObject>, S3Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.describe_once(key).await? {
                Attempt::Settled(seen) => return Ok(seen),
                Attempt::Again(seen) if attempts >= MAX_ATTEMPTS => return Ok(seen),
                Attempt::Changed if attempts >= MAX_ATTEMPTS => return Err(keeps_changing()),
                Attempt::Again(_) | Attempt::Changed => before_next(attempts).await,
            }
        }
    }

    async fn describe_once(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Attempt<Option<FoundObject>>, S3Error> {
        let request = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(self.name(key));
        let permit = Arc::new(self.enter().await?);
        let head = match self.ask(Op::Head, request.send()).await {
            Err(failure) if failure.kind == S3ErrorKind::Missing => return Ok(Attempt::Settled(None)),
            other => other?,
        };
        let head = ObjectHead {
            etag: head.e_tag.ok_or_else(no_etag)?,
            length: length_of(head.content_length)?,
            headers: head.metadata,
        };
        let upload = object::upload_of(head.headers.as_ref());
        let entry = match self.entry_of(key, &head, &permit).await {
            Err(failure) if is_changed(&failure) => return Ok(Attempt::Changed),
            other => other?,
        };
        let seen = FoundObject {
            etag: head.etag,
            upload,
            entry,
        };
        Ok(match seen.entry {
            Ok(_) => Attempt::Settled(Some(seen)),
            Err(_) => Attempt::Again(Some(seen)),
        })
    }
}

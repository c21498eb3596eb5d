//! The description of an object.

use std::sync::Arc;

use super::{LOOKS, Look, Outside, Seen, before_next, is_changed, length_of, no_etag, restless};
use crate::store::StoreKey;
use crate::store::s3::core::Core;
use crate::store::s3::error::{S3Error, S3ErrorKind};
use crate::store::s3::object;
use crate::store::s3::stats::Op;

impl Core {
    /// The object of an entry, without its body.
    pub(in crate::store::s3) async fn look(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<Seen>, S3Error> {
        let mut looks = 0;
        loop {
            looks += 1;
            match self.look_once(key).await? {
                Look::Settled(seen) => return Ok(seen),
                Look::Again(seen) if looks >= LOOKS => return Ok(seen),
                Look::Changed if looks >= LOOKS => return Err(restless()),
                Look::Again(_) | Look::Changed => before_next(looks).await,
            }
        }
    }

    async fn look_once(self: &Arc<Self>, key: &StoreKey) -> Result<Look<Option<Seen>>, S3Error> {
        let request = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(self.name(key));
        let permit = Arc::new(self.enter().await?);
        let head = match self.ask(Op::Head, request.send()).await {
            Err(failure) if failure.kind == S3ErrorKind::Missing => return Ok(Look::Settled(None)),
            other => other?,
        };
        let outside = Outside {
            etag: head.e_tag.ok_or_else(no_etag)?,
            length: length_of(head.content_length)?,
            headers: head.metadata,
        };
        let upload = object::upload_of(outside.headers.as_ref());
        let entry = match self.describe(key, &outside, &permit).await {
            Err(failure) if is_changed(&failure) => return Ok(Look::Changed),
            other => other?,
        };
        let seen = Seen {
            etag: outside.etag,
            upload,
            entry,
        };
        Ok(match seen.entry {
            Ok(_) => Look::Settled(Some(seen)),
            Err(_) => Look::Again(Some(seen)),
        })
    }
}

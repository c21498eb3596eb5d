//! A body whose parts are sent while it arrives. The object ends with a trailer, because nothing but its name
//! is known when the upload begins.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::body::ObjectBody;
use super::commit::S3Upload;
use super::parts::{MAX_PARTS, MultipartUpload, part_length};
use super::{UploadJob, described, random_id};
use crate::store::remote::{RemoteParts, RemoteUpload};
use crate::store::s3::core::Core;
use crate::store::s3::object::Envelope;
use crate::store::spool::Checksums;
use crate::store::{Content, Draft, Error, Result, StoreKey};

/// See [`RemoteParts`].
struct EarlyParts {
    core: Arc<Core>,
    key: StoreKey,
    /// The id that no other upload has.
    id: String,
    parts: MultipartUpload,
}

impl std::fmt::Debug for EarlyParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EarlyParts").field(&self.key).finish()
    }
}

impl Core {
    /// See [`crate::store::remote::RemoteTier::begin`].
    pub(in crate::store::s3) async fn begin(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Box<dyn RemoteParts>> {
        let id = random_id()?;
        // The futures of the SDK are large.
        let parts = Box::pin(MultipartUpload::begin(
            self,
            (&self.name(key), key.asker()),
            Envelope::headers_behind(&id),
        ))
        .await;
        Ok(Box::new(EarlyParts {
            core: Arc::clone(self),
            key: key.clone(),
            id,
            parts: parts.map_err(|failure| failure.at("beginning an upload"))?,
        }))
    }

    /// See [`crate::store::remote::RemoteTier::part_size`].
    pub(in crate::store::s3) fn part_size(&self) -> u64 {
        part_length(0, self.config.part_size)
    }
}

#[async_trait]
impl RemoteParts for EarlyParts {
    async fn part(&self, number: u32, content: Content) -> Result<()> {
        let (length, nth) = (self.core.part_size(), u64::from(number));
        if nth > MAX_PARTS {
            return Err(too_large(length, nth.saturating_mul(length)));
        }
        if nth == 0 || content.len() != length {
            return Err(Error::io(
                "sending a part",
                std::io::ErrorKind::InvalidInput.into(),
            ));
        }
        let source = ObjectBody::new(content, Bytes::new());
        // At most 10,000.
        let sent = Box::pin(self.parts.send_one(&source, number as i32, 0..length)).await;
        sent.map_err(|failure| failure.at("uploading"))
    }

    async fn finish(
        self: Box<Self>,
        draft: Draft,
        sums: &Checksums,
        body: Content,
    ) -> Result<Box<dyn RemoteUpload>> {
        let this = *self;
        let length = this.core.part_size();
        let meta = described(draft, sums)?;
        let envelope = Envelope::behind(&this.key, &meta, sums, &this.id);
        let source = ObjectBody::new(body, envelope.tail.clone());
        if source.len() > length.saturating_mul(MAX_PARTS) {
            return Err(too_large(length, source.len()));
        }
        let sent = Box::pin(this.parts.send_rest(&source, length)).await;
        sent.map_err(|failure| failure.at("uploading"))?;
        let job = UploadJob {
            name: this.core.name(&this.key),
            core: this.core,
            key: this.key,
            id: this.id,
            meta,
            envelope,
            source,
        };
        let parts = Some(this.parts);
        Ok(Box::new(S3Upload { job, parts }))
    }
}

fn too_large(part: u64, size: u64) -> Error {
    Error::TooLarge {
        size,
        limit: part.saturating_mul(MAX_PARTS),
    }
}

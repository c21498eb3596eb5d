//! Writing: a body is sent first, or at once when it is made visible if it is small; a condition is held
//! against our own tag, and against races by the ETag of S3.

mod body;
mod commit;
mod early;
pub(super) mod parts;

use std::sync::Arc;

use aws_sdk_s3::types;

use self::body::ObjectBody;
use self::commit::S3Upload;
use self::parts::{MultipartUpload, part_length};
use super::client;
use super::core::Core;
use super::error::S3Error;
use super::object::Envelope;
use super::stats::Op;
use crate::config::{S3Config, ServerSideEncryption};
use crate::store::remote::RemoteUpload;
use crate::store::spool::Checksums;
use crate::store::{Content, Draft, Error, Meta, Result, StoreKey};

/// Up to this length an object is sent with one request, in bytes; more if parts are longer.
const MAX_SINGLE_BYTES: u64 = 8 << 20;

/// Everything about one upload.
struct UploadJob {
    core: Arc<Core>,
    key: StoreKey,
    /// Of the object.
    name: String,
    /// The id that no other upload has.
    id: String,
    meta: Arc<Meta>,
    envelope: Envelope,
    source: ObjectBody,
}

/// What S3 is to make sure of.
#[derive(Debug, PartialEq, Eq)]
enum WriteCondition {
    None,
    /// There is no object.
    Absent,
    /// The object has this ETag.
    Is(String),
}

impl WriteCondition {
    fn if_match(&self) -> Option<String> {
        match self {
            Self::Is(etag) => Some(etag.clone()),
            _ => None,
        }
    }

    fn if_none_match(&self) -> Option<String> {
        (*self == Self::Absent).then(|| "*".to_owned())
    }
}

impl Core {
    /// See [`crate::store::remote::RemoteTier::upload`].
    pub(super) async fn upload(
        self: &Arc<Self>,
        key: &StoreKey,
        draft: Draft,
        sums: &Checksums,
        body: Content,
    ) -> Result<Box<dyn RemoteUpload>> {
        let id = random_id()?;
        let meta = described(draft, sums)?;
        let envelope = Envelope::new(key, &meta, sums, &id);
        let job = UploadJob {
            core: Arc::clone(self),
            key: key.clone(),
            name: self.name(key),
            id,
            meta,
            source: ObjectBody::new(body, envelope.tail.clone()),
            envelope,
        };
        if job.source.len() <= MAX_SINGLE_BYTES.max(self.config.part_size) {
            return Ok(Box::new(S3Upload { job, parts: None }));
        }
        // The futures of the SDK are large.
        let sent = Box::pin(job.send()).await;
        let parts = Some(sent.map_err(|failure| failure.at("uploading"))?);
        Ok(Box::new(S3Upload { job, parts }))
    }
}

/// The description that readers will get.
///
/// # Errors
/// [`Error::TooLarge`].
fn described(draft: Draft, sums: &Checksums) -> Result<Arc<Meta>> {
    let (size, limit) = (sums.size(), super::tier::MAX_BODY_BYTES);
    if size > limit {
        return Err(Error::TooLarge { size, limit });
    }
    Ok(Arc::new(Meta {
        size,
        etag: sums.etag(),
        origin: draft.origin,
        metadata: draft.metadata,
    }))
}

impl UploadJob {
    /// Sends the whole object in parts.
    async fn send(&self) -> Result<MultipartUpload, S3Error> {
        let object = (self.name.as_str(), self.key.asker());
        let parts = MultipartUpload::begin(&self.core, object, self.envelope.headers.clone()).await?;
        let length = part_length(self.source.len(), self.core.config.part_size);
        parts.send_rest(&self.source, length).await?;
        Ok(parts)
    }

    /// Sends the whole object with one request.
    async fn put(&self, rule: &WriteCondition) -> Result<Option<String>, S3Error> {
        let length = self.source.len();
        let config = &self.core.config;
        let permit = self.core.enter_to_send(self.key.asker()).await?;
        let request = self
            .core
            .client
            .put_object()
            .bucket(self.core.bucket())
            .key(&self.name)
            .set_metadata(Some(self.envelope.headers.clone()))
            .set_storage_class(storage_class(config))
            .set_server_side_encryption(encryption(config))
            .set_ssekms_key_id(config.sse_kms_key_id.clone())
            .set_if_match(rule.if_match())
            .set_if_none_match(rule.if_none_match())
            .content_length(length as i64)
            .body(self.source.request(0..length))
            .customize()
            .config_override(client::for_write(config, length));
        let answer = self.core.ask(Op::Put, request.send()).await?;
        drop(permit);
        self.core.counters.bytes_out.inc_by(length);
        Ok(answer.e_tag)
    }
}

fn storage_class(config: &S3Config) -> Option<types::StorageClass> {
    config.storage_class.as_deref().map(types::StorageClass::from)
}

/// The header for objects that are to be encrypted.
pub(super) fn encryption(config: &S3Config) -> Option<types::ServerSideEncryption> {
    config.server_side_encryption.map(|kind| match kind {
        ServerSideEncryption::Aes256 => types::ServerSideEncryption::Aes256,
        ServerSideEncryption::Kms => types::ServerSideEncryption::AwsKms,
        ServerSideEncryption::KmsDsse => types::ServerSideEncryption::AwsKmsDsse,
    })
}

/// 32 hex digits that no other upload has.
fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        let error = std::io::Error::other("no random numbers");
        Error::io("naming an upload", error)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

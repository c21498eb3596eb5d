//! Writing: a body is sent first, or at once when it is made visible if it is small; a condition is held
//! against our own tag, and against races by the ETag of S3.

mod ahead;
mod body;
pub(super) mod parts;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::types;

use self::body::ObjectBody;
use self::parts::{MultipartUpload, part_length};
use super::client;
use super::core::Core;
use super::error::{S3Error, S3ErrorKind};
use super::object::{self, Envelope};
use super::read::FoundObject;
use super::stats::Op;
use crate::config::{S3Config, ServerSideEncryption};
use crate::store::remote::{RemoteEntry, RemoteUpload};
use crate::store::spool::Checksums;
use crate::store::{Content, Draft, Error, Meta, Precondition, RemoteErrorKind, Result, StoreKey};
use crate::tasks::pause;

/// Up to this length an object is sent with one request, in bytes; more if parts are longer.
const MAX_SINGLE_BYTES: u64 = 8 << 20;
/// Up to this length an object is sent before it is looked whether another one is there, in bytes.
const MAX_UNCHECKED_BYTES: u64 = 64 << 10;
/// How often a commit is tried when another writer has changed the object.
const MAX_ATTEMPTS: u32 = 8;
/// Before the attempt after a conflict; grows with each.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

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

/// See [`RemoteUpload`].
struct S3Upload {
    job: UploadJob,
    /// `None`: the object is sent when it is made visible.
    parts: Option<MultipartUpload>,
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
        let envelope = Envelope::new(key, &meta, sums, &id)?;
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

#[async_trait]
impl RemoteUpload for S3Upload {
    async fn commit(mut self: Box<Self>, precondition: &Precondition) -> Result<RemoteEntry> {
        let outcome = self.run(precondition).await;
        // A failed one is aborted when it is dropped.
        if outcome.is_ok()
            && let Some(parts) = self.parts.take()
        {
            parts.finish();
        }
        outcome
    }
}

impl S3Upload {
    async fn run(&mut self, precondition: &Precondition) -> Result<RemoteEntry> {
        let mut rule = match precondition {
            Precondition::None => WriteCondition::None,
            // A long body is not sent only to be refused.
            Precondition::Absent if self.job.source.len() <= MAX_UNCHECKED_BYTES => WriteCondition::Absent,
            other => match self.weigh(other).await? {
                Weighed::Ours(entry) => return Ok(entry),
                Weighed::Condition(rule) => rule,
            },
        };
        for attempt in 1..=MAX_ATTEMPTS {
            let failure = match self.send(&rule).await {
                Ok(etag) => return self.entry(etag).await,
                Err(failure) => failure,
            };
            match failure.kind {
                S3ErrorKind::Conflict => pause(CONFLICT_PAUSE * attempt).await,
                // With a condition: the object that was there is gone.
                S3ErrorKind::Precondition | S3ErrorKind::NoUpload | S3ErrorKind::Missing => {}
                S3ErrorKind::Remote(kind) if kind.leaves_doubt() || !failure.answered => {
                    return self.resolve(precondition, failure).await;
                }
                S3ErrorKind::Remote(_) | S3ErrorKind::OutOfRange | S3ErrorKind::Unsupported => {
                    return Err(failure.at("committing"));
                }
            }
            // An answer may have been lost before this one: then the object there is ours.
            rule = match self.weigh(precondition).await? {
                Weighed::Ours(entry) => return Ok(entry),
                Weighed::Condition(rule) => rule,
            };
            if failure.kind == S3ErrorKind::NoUpload {
                // A conflict ends an upload in parts: all of them have to be sent again.
                self.parts = None;
                let again = Box::pin(self.job.send()).await;
                self.parts = Some(again.map_err(|failure| failure.at("uploading"))?);
            }
        }
        Err(S3Error::new(RemoteErrorKind::Other, "the object changed again and again").at("committing"))
    }

    /// After a request that may have been done, or refused, with an answer that was lost: a server that
    /// answers before it has read the body, and closes, is often not heard.
    async fn resolve(&self, precondition: &Precondition, failure: S3Error) -> Result<RemoteEntry> {
        match self.weigh(precondition).await {
            Ok(Weighed::Ours(entry)) => Ok(entry),
            Err(Error::Precondition) => Err(Error::Precondition),
            _ => Err(failure.at("committing")),
        }
    }

    /// Holds the condition against what is there now.
    async fn weigh(&self, precondition: &Precondition) -> Result<Weighed> {
        let seen = self.job.core.describe(&self.job.key).await;
        match seen.map_err(|failure| failure.at("looking at an object"))? {
            Some(seen) if seen.upload.as_deref() == Some(&self.job.id) => {
                Ok(Weighed::Ours(self.known(&seen.etag)))
            }
            seen => weigh(precondition, seen).map(Weighed::Condition),
        }
    }

    async fn send(&self, rule: &WriteCondition) -> Result<Option<String>, S3Error> {
        match &self.parts {
            Some(parts) => parts.complete(rule).await,
            None => self.job.put(rule).await,
        }
    }

    /// The entry that is visible now.
    async fn entry(&self, etag: Option<String>) -> Result<RemoteEntry> {
        if let Some(etag) = etag {
            return Ok(self.known(&etag));
        }
        match self.weigh(&Precondition::None).await? {
            Weighed::Ours(entry) => Ok(entry),
            // It was visible; another writer has replaced it since.
            Weighed::Condition(_) => Ok(self.known("")),
        }
    }

    fn known(&self, etag: &str) -> RemoteEntry {
        RemoteEntry {
            meta: Arc::clone(&self.job.meta),
            version: object::version(etag, self.job.envelope.is_inline()),
        }
    }
}

enum Weighed {
    /// The object there is the one of this upload.
    Ours(RemoteEntry),
    Condition(WriteCondition),
}

/// What S3 has to make sure of so that `precondition` holds at the change, if it holds now. What is no
/// entry of ours counts as none, and may be replaced.
fn weigh(precondition: &Precondition, seen: Option<FoundObject>) -> Result<WriteCondition> {
    let entry = seen.as_ref().and_then(|seen| seen.entry.as_ref().ok());
    if !precondition.holds(entry.map(|entry| &entry.meta.etag)) {
        return Err(Error::Precondition);
    }
    Ok(match (precondition, seen) {
        (Precondition::None, _) => WriteCondition::None,
        (_, Some(seen)) => WriteCondition::Is(seen.etag),
        (_, None) => WriteCondition::Absent,
    })
}

impl UploadJob {
    /// Sends the whole object in parts.
    async fn send(&self) -> Result<MultipartUpload, S3Error> {
        let parts = MultipartUpload::begin(&self.core, &self.name, self.envelope.headers.clone()).await?;
        let length = part_length(self.source.len(), self.core.config.part_size);
        parts.send_rest(&self.source, length).await?;
        Ok(parts)
    }

    /// Sends the whole object with one request.
    async fn put(&self, rule: &WriteCondition) -> Result<Option<String>, S3Error> {
        let length = self.source.len();
        let config = &self.core.config;
        let permit = self.core.enter_to_send().await?;
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
            .config_override(client::for_upload(config, length));
        let answer = self.core.ask(Op::Put, request.send()).await?;
        drop(permit);
        self.core.counters.went_out(length);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::trailer::Flaw;
    use crate::store::{ETag, Metadata, Origin};

    fn seen(tag: Result<&str, Flaw>) -> Option<FoundObject> {
        let entry = tag.map(|tag| RemoteEntry {
            meta: Arc::new(Meta {
                size: 0,
                etag: ETag::new(tag),
                origin: Origin {
                    issuer: "i".into(),
                    subject: "s".into(),
                    stored: std::time::UNIX_EPOCH,
                },
                metadata: Metadata::default(),
            }),
            version: "v".into(),
        });
        Some(FoundObject {
            etag: "v".into(),
            upload: None,
            entry,
        })
    }

    #[test]
    fn conditions_become_rules_about_the_version_that_was_seen() {
        use Precondition::{Absent, Matches, MatchesNone, None as Any, Present};
        let is = |tag| vec![ETag::new(tag)];
        let version = || WriteCondition::Is("v".into());
        let refused = |condition: &Precondition, seen| {
            assert!(matches!(weigh(condition, seen), Err(Error::Precondition)));
        };
        assert_eq!(weigh(&Any, seen(Ok("a"))).expect("holds"), WriteCondition::None);
        assert_eq!(weigh(&Present, seen(Ok("a"))).expect("holds"), version());
        assert_eq!(weigh(&Matches(is("a")), seen(Ok("a"))).expect("holds"), version());
        assert_eq!(
            weigh(&MatchesNone(is("b")), seen(Ok("a"))).expect("holds"),
            version()
        );
        assert_eq!(
            weigh(&MatchesNone(is("b")), None).expect("holds"),
            WriteCondition::Absent
        );
        refused(&Absent, seen(Ok("a")));
        refused(&Present, None);
        refused(&Matches(is("b")), seen(Ok("a")));
        refused(&MatchesNone(is("a")), seen(Ok("a")));
        // What is no entry is replaced, but only that.
        assert_eq!(
            weigh(&Absent, seen(Err(Flaw::Foreign))).expect("holds"),
            version()
        );
        refused(&Present, seen(Err(Flaw::Foreign)));
    }
}

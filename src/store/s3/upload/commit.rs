//! Making an uploaded object visible: a condition is held against our own tag, and against races by the ETag of S3.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::parts::MultipartUpload;
use super::{UploadJob, WriteCondition};
use crate::store::remote::{RemoteEntry, RemoteUpload};
use crate::store::s3::abilities::Lack;
use crate::store::s3::client;
use crate::store::s3::error::{S3Error, S3ErrorKind};
use crate::store::s3::object;
use crate::store::s3::read::FoundObject;
use crate::store::{Error, Precondition, RemoteErrorKind, Result};
use crate::tasks::pause;

/// Up to this length an object is sent before S3 is asked whether another one is there, in bytes.
const MAX_UNCHECKED_BYTES: u64 = 64 << 10;
/// How often a commit is tried when another writer has changed the object.
const MAX_ATTEMPTS: u32 = 8;
/// Before the attempt after a conflict; grows with each.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

/// See [`RemoteUpload`].
pub(super) struct S3Upload {
    pub(super) job: UploadJob,
    /// `None`: the object is sent when it is made visible.
    pub(super) parts: Option<MultipartUpload>,
}

#[async_trait]
impl RemoteUpload for S3Upload {
    async fn commit(mut self: Box<Self>, precondition: &Precondition) -> Result<RemoteEntry> {
        let bytes = self.parts.is_none().then(|| self.job.source.len());
        let limit = client::write_time(&self.job.core.config, bytes.unwrap_or(0));
        let outcome = match timeout(limit, self.run(precondition)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let text = "s3.write_timeout is over";
                let late = self.job.core.fail(RemoteErrorKind::Timeout, text);
                Err(late.at("committing"))
            }
        };
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
        let mut weighed = self.weigh_first(precondition).await?;
        let mut last = String::new();
        for attempt in 1..=MAX_ATTEMPTS {
            let rule = match weighed {
                Weighed::Ours(entry) => return Ok(entry),
                Weighed::Condition(rule) => rule,
            };
            let failure = match self.send(&rule).await {
                Ok(etag) => return self.entry(etag).await,
                Err(failure) => failure,
            };
            match failure.kind {
                S3ErrorKind::Conflict => pause(CONFLICT_PAUSE * attempt).await,
                S3ErrorKind::Remote(kind) if kind.leaves_doubt() || !failure.answered => {
                    return self.resolve(precondition, failure).await;
                }
                kind if !self.may_be_tried_again(kind, &rule) => return Err(failure.at("committing")),
                _ => {}
            }
            // An answer may have been lost before this one: then the object there is ours.
            weighed = self.weigh(precondition).await?;
            if failure.kind == S3ErrorKind::NoUpload && matches!(weighed, Weighed::Condition(_)) {
                // A conflict ends an upload in parts: all of them have to be sent again.
                self.parts = None;
                let again = Box::pin(self.job.send()).await;
                self.parts = Some(again.map_err(|failure| failure.at("uploading"))?);
            }
            last = failure.text;
        }
        let text = format!("the object changed again and again; the last answer was: {last}");
        Err(S3Error::new(RemoteErrorKind::Other, text).at("committing"))
    }

    /// What is asked of S3 at first. A long body is not sent only to be refused.
    async fn weigh_first(&self, precondition: &Precondition) -> Result<Weighed> {
        let is_short = self.job.source.len() <= MAX_UNCHECKED_BYTES;
        let unchecked = is_short && !self.job.core.abilities.lacks(Lack::WriteConditions);
        match precondition {
            Precondition::None => Ok(Weighed::Condition(WriteCondition::None)),
            Precondition::Absent if unchecked => Ok(Weighed::Condition(WriteCondition::Absent)),
            other => self.weigh(other).await,
        }
    }

    /// Whether a refusal was of the condition, or of an upload that is gone, and not of the body.
    fn may_be_tried_again(&self, kind: S3ErrorKind, rule: &WriteCondition) -> bool {
        let is_conditional = *rule != WriteCondition::None;
        match kind {
            S3ErrorKind::Precondition | S3ErrorKind::Conflict | S3ErrorKind::NoUpload => true,
            // The object that was there is gone.
            S3ErrorKind::Missing => is_conditional,
            S3ErrorKind::Unsupported if is_conditional => {
                self.job.core.abilities.miss(Lack::WriteConditions);
                true
            }
            S3ErrorKind::Unsupported | S3ErrorKind::OutOfRange | S3ErrorKind::Remote(_) => false,
        }
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
        let core = &self.job.core;
        match self.look().await? {
            Some(seen) if self.is_ours(&seen) => Ok(Weighed::Ours(self.known(&seen.tag))),
            seen => {
                let rule = weigh(precondition, seen)?;
                // The best that can be done is done: it held a moment ago.
                let lacking = core.abilities.lacks(Lack::WriteConditions);
                Ok(Weighed::Condition(if lacking {
                    WriteCondition::None
                } else {
                    rule
                }))
            }
        }
    }

    async fn look(&self) -> Result<Option<FoundObject>> {
        let seen = self.job.core.describe_to_write(&self.job.key).await;
        seen.map_err(|failure| failure.at("looking at an object"))
    }

    fn is_ours(&self, seen: &FoundObject) -> bool {
        seen.upload.as_deref() == Some(&self.job.id)
    }

    async fn send(&self, rule: &WriteCondition) -> Result<Option<String>, S3Error> {
        match &self.parts {
            Some(parts) => parts.complete(rule).await,
            None => self.job.put(rule).await,
        }
    }

    /// The entry that is visible now. A success that does not name it is not believed before it was seen.
    async fn entry(&self, etag: Option<String>) -> Result<RemoteEntry> {
        if let Some(etag) = etag.filter(|etag| object::is_strong(etag)) {
            return Ok(self.known(&etag));
        }
        match self.look().await? {
            Some(seen) if self.is_ours(&seen) => Ok(self.known(&seen.tag)),
            // It was visible; another writer has replaced it since.
            Some(seen) if seen.upload.is_some() => Ok(self.known(&object::upload_tag(&self.job.id))),
            _ => {
                let text = "the store says that it has the object, and does not have it";
                Err(self.job.core.fail(RemoteErrorKind::NotS3, text).at("committing"))
            }
        }
    }

    fn known(&self, tag: &str) -> RemoteEntry {
        RemoteEntry {
            meta: Arc::clone(&self.job.meta),
            version: object::version(tag, self.job.envelope.is_inline()),
            modified: None,
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
        (_, Some(seen)) => match object::condition(&seen.tag) {
            Some(etag) => WriteCondition::Is(etag),
            // Without a strong ETag there is nothing that the store could compare.
            None => WriteCondition::None,
        },
        (_, None) => WriteCondition::Absent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::trailer::EntryError;
    use crate::store::{ETag, Meta, Metadata, Origin};

    fn seen(tag: Result<&str, EntryError>) -> Option<FoundObject> {
        let entry = tag.map(|tag| RemoteEntry {
            meta: Arc::new(Meta {
                size: 0,
                etag: ETag::new(tag),
                origin: Origin {
                    issuer: "i".into(),
                    subject: "s".into(),
                    stored: std::time::UNIX_EPOCH,
                    tenancy: None,
                },
                metadata: Metadata::default(),
            }),
            version: "v".into(),
            modified: None,
        });
        Some(FoundObject {
            tag: "\"v\"".into(),
            upload: None,
            entry,
        })
    }

    #[test]
    fn conditions_become_rules_about_the_version_that_was_seen() {
        use Precondition::{Absent, Matches, MatchesNone, None as Any, Present};
        let is = |tag| vec![ETag::new(tag)];
        let version = || WriteCondition::Is("\"v\"".into());
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
            weigh(&Absent, seen(Err(EntryError::Foreign))).expect("holds"),
            version()
        );
        refused(&Present, seen(Err(EntryError::Foreign)));
    }
}

//! The bucket as a remote tier, and its objects as sources.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use url::Url;

use super::abilities::Lack;
use super::client;
use super::core::Core;
use super::error::{S3Error, S3ErrorKind};
use super::stats::Op;
use super::{S3, object};
use crate::store::remote::{RemoteEntry, RemoteParts, RemoteTier, RemoteUpload};
use crate::store::source::{EntrySource, ReadPlan, SourceOpen, SourceStream};
use crate::store::spool::Checksums;
use crate::store::{
    Content, Draft, Error, Precondition, RemoteErrorKind, RemoteHealth, Result, StoreKey, TierName,
};
use crate::tasks::Tasks;
use crate::telemetry::metrics::Metric;

/// What logs and health call the tier.
const NAME: TierName = TierName::new(&"s3");
/// The largest body: 5 TiB is the largest object, less a trailer's table, description and footer.
pub(super) const MAX_BODY_BYTES: u64 = (5 << 40) - (40 << 20) - (2 << 20);
/// The part of an object that cannot be read in parts, in bytes: longer than any.
const UNDIVIDED_BYTES: u64 = 1 << 50;
/// How long a link is valid.
const LINK_LIFETIME: Duration = Duration::from_secs(600);
/// What errors of a delete say.
const DELETING: &str = "deleting an object";
/// How often a delete is tried when another writer has changed the object.
const MAX_DELETES: u32 = 8;

#[async_trait]
impl RemoteTier for S3 {
    fn name(&self) -> TierName {
        NAME
    }

    fn location_key(&self) -> &'static str {
        "s3.bucket"
    }

    fn metrics(&self) -> Vec<Metric> {
        self.stats().metrics(self.health() == RemoteHealth::Up)
    }

    fn health(&self) -> RemoteHealth {
        self.core.health.now()
    }

    async fn probe(&self) -> Result<()> {
        let stopping = self.core.tasks.stopping();
        let patience = self.core.config.connect_timeout + self.core.config.read_timeout;
        let examined = tokio::select! {
            // Nobody wants to know any more.
            () = stopping.cancelled() => return Ok(()),
            examined = Box::pin(self.core.examine(patience)) => examined,
        };
        examined.map_err(|failure| failure.at("probing"))?;
        tracing::info!("the bucket of s3.bucket can be used");
        Ok(())
    }

    async fn head(&self, key: &StoreKey) -> Result<Option<RemoteEntry>> {
        const OPERATION: &str = "looking at an object";
        let seen = self.core.look_up(Box::pin(self.core.describe(key))).await;
        let Some(seen) = seen.map_err(|failure| failure.at(OPERATION))? else {
            return Ok(None);
        };
        let entry = seen.entry.map_err(|flaw| self.core.flawed(flaw).at(OPERATION));
        entry.map(Some)
    }

    fn source(&self, key: &StoreKey) -> Arc<dyn EntrySource> {
        Arc::new(ObjectSource {
            core: Arc::clone(&self.core),
            key: key.clone(),
        })
    }

    async fn upload(
        &self,
        key: &StoreKey,
        draft: Draft,
        sums: &Checksums,
        body: Content,
    ) -> Result<Box<dyn RemoteUpload>> {
        self.core.upload(key, draft, sums, body).await
    }

    async fn begin(&self, key: &StoreKey) -> Result<Box<dyn RemoteParts>> {
        self.core.begin(key).await
    }

    fn part_size(&self) -> u64 {
        self.core.part_size()
    }

    fn tasks(&self) -> &Tasks {
        &self.core.tasks
    }

    async fn delete(&self, key: &StoreKey, precondition: &Precondition) -> Result<bool> {
        self.core.delete(key, precondition).await
    }

    async fn delete_version(&self, key: &StoreKey, entry: &RemoteEntry) -> Result<()> {
        self.core.delete_version(key, entry).await
    }

    /// Valid for 10 minutes, for whatever version is there then.
    async fn link(&self, key: &StoreKey, entry: &RemoteEntry) -> Result<Option<Url>> {
        const OPERATION: &str = "making a link";
        if !object::tag_of(&entry.version).1 {
            // The object holds more than the body.
            return Ok(None);
        }
        let refused = |text: String| Error::remote(OPERATION, RemoteErrorKind::Other, text);
        let valid =
            PresigningConfig::expires_in(LINK_LIFETIME).map_err(|error| refused(error.to_string()))?;
        let core = &self.core;
        let request = core.client.get_object().bucket(core.bucket()).key(core.name(key));
        let signed = Box::pin(request.presigned(valid)).await;
        let link = signed.map_err(|error| S3Error::of(&error, false).at(OPERATION))?;
        let url = Url::parse(link.uri()).map_err(|error| refused(error.to_string()))?;
        Ok(Some(url))
    }

    fn capacity(&self) -> u64 {
        MAX_BODY_BYTES
    }
}

impl Core {
    /// See [`RemoteTier::delete`]. An object that is not the entry is left alone.
    async fn delete(self: &Arc<Self>, key: &StoreKey, precondition: &Precondition) -> Result<bool> {
        for _ in 0..MAX_DELETES {
            let seen = self.describe_to_write(key).await;
            let seen = seen.map_err(|failure| failure.at(DELETING))?;
            let found = seen.and_then(|seen| Some((seen.entry.ok()?, seen.tag)));
            if !precondition.holds(found.as_ref().map(|(entry, _)| &entry.meta.etag)) {
                return Err(Error::Precondition);
            }
            let Some((_, tag)) = found else {
                return Ok(false);
            };
            let condition = object::condition(&tag);
            let expected = condition.filter(|_| *precondition != Precondition::None);
            match self.remove(key, expected).await {
                Ok(()) => return Ok(true),
                Err(failure) if matches!(failure.kind, S3ErrorKind::Precondition | S3ErrorKind::Conflict) => {
                }
                Err(failure) => return Err(failure.at(DELETING)),
            }
        }
        Err(S3Error::new(RemoteErrorKind::Other, "the object changed again and again").at(DELETING))
    }

    /// See [`RemoteTier::delete_version`].
    async fn delete_version(self: &Arc<Self>, key: &StoreKey, entry: &RemoteEntry) -> Result<()> {
        let (tag, _) = object::tag_of(&entry.version);
        match self.remove(key, object::condition(tag)).await {
            Err(failure) if failure.kind == S3ErrorKind::Precondition => Ok(()),
            other => other.map_err(|failure| failure.at(DELETING)),
        }
    }

    /// Removes the object; only the version `expected` where the server knows such a condition.
    async fn remove(self: &Arc<Self>, key: &StoreKey, expected: Option<String>) -> Result<(), S3Error> {
        let request = |expected| {
            self.client
                .delete_object()
                .bucket(self.bucket())
                .key(self.name(key))
                .set_if_match(expected)
                .customize()
                .config_override(client::for_write(&self.config, 0))
                .send()
        };
        let conditional = expected.is_some();
        match self.call((Op::Delete, key.asker()), request(expected)).await {
            Err(failure) if failure.kind == S3ErrorKind::Unsupported && conditional => self
                .call((Op::Delete, key.asker()), request(None))
                .await
                .map(drop),
            // Another caller has removed it meanwhile.
            Err(failure) if failure.kind == S3ErrorKind::Missing => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The object of one entry.
#[derive(Debug)]
struct ObjectSource {
    core: Arc<Core>,
    key: StoreKey,
}

#[async_trait]
impl EntrySource for ObjectSource {
    async fn open(&self) -> Result<Option<SourceOpen>> {
        let opened = self.core.look_up(Box::pin(self.core.open(&self.key))).await;
        opened.map_err(|failure| failure.at("opening an object"))
    }

    async fn read(&self, version: &str, range: Range<u64>) -> Result<SourceStream> {
        let stream = self.core.read(&self.key, version, range).await;
        stream.map_err(|failure| failure.at("reading an object"))
    }

    fn plan(&self) -> ReadPlan {
        if self.core.abilities.lacks(Lack::Ranges) {
            return ReadPlan {
                part_size: UNDIVIDED_BYTES,
                parallel: 1,
            };
        }
        ReadPlan {
            part_size: self.core.config.part_size,
            parallel: self.core.config.parallel_parts,
        }
    }

    fn is_contended(&self) -> bool {
        self.core.permits.are_wanted()
    }
}

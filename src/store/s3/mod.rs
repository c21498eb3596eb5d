//! The far tier in a bucket of S3, or of a server that speaks its protocol.
//!
//! - One object for each entry ([`object`]): the body from offset 0, its description in user metadata or in
//!   a trailer. A description that is not the entry's own is a fault, never served.
//! - A read is one request for whatever is not longer than a part ([`read`]); more of the same version is
//!   asked for by its ETag. Every body has its length checked and may not pause for long ([`stream`]).
//! - A write is sent before it is made visible ([`upload`]), from where its bytes are, so that it can be
//!   sent again. A condition is held against our tag, and a race is decided by S3.
//! - What a crash leaves in the bucket is found again ([`records`], [`sweep`]).
//! - What servers tell each other is in the names of small objects ([`mod@journal`]).
//! - Every request needs a permit of `s3.max_concurrency`, and a server that fails again and again is
//!   given a rest ([`health`]).

mod client;
mod core;
mod credentials;
mod delete;
mod fault;
mod health;
mod journal;
mod object;
mod read;
mod records;
mod shared;
mod source;
mod stats;
mod stream;
mod sweep;
mod upload;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use url::Url;

pub use health::S3Health;
pub use stats::S3Stats;

use self::core::{Core, Permits};
use self::health::Health;
use self::records::{Record, Records};
use self::source::ObjectSource;
use self::stats::Counters;
use super::remote::{Remote, RemoteEntry, RemoteParts, RemoteUpload};
use super::source::EntrySource;
use super::spool::Checksums;
use super::{Content, Draft, Error, Precondition, RemoteErrorKind, Result, StoreKey, TierName};
use crate::config::S3Config;
use crate::tasks::Tasks;

/// What logs call the tier.
const NAME: TierName = TierName::new(&"s3");
/// The largest body: 5 TiB is the largest object, less a trailer's table, description and footer.
const CAPACITY: u64 = (5 << 40) - (40 << 20) - (2 << 20);
/// How long a link is valid.
const LINK: Duration = Duration::from_secs(600);

/// Why the tier cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The notes about multipart uploads cannot be kept.
    #[error("cannot keep notes about uploads in {path}: {source}; it must be writable for this user")]
    Records {
        /// The folder.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// The server stops before it has begun.
    #[error("the server is shutting down")]
    Stopping,
}

/// The far tier. See the module.
#[derive(Debug)]
pub struct S3 {
    core: Arc<Core>,
}

impl S3 {
    /// Sets the client up and starts the background tasks. Asks S3 nothing: see [`S3::probe`].
    /// `records` is a folder of this process alone, for notes about multipart uploads under way; without
    /// one, what a crash leaves in the bucket stays for a day.
    ///
    /// # Errors
    /// [`OpenError`] names the key of the configuration and the remedy.
    pub async fn open(
        config: &S3Config,
        records: Option<PathBuf>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, OpenError> {
        let (records, left) = match records {
            Some(folder) => open_records(folder, tasks).await?,
            None => (None, Vec::new()),
        };
        let core = Arc::new(Core {
            client: client::connect(config).await,
            permits: Permits::new(config.max_concurrency),
            config: config.clone(),
            health: Health::default(),
            counters: Counters::default(),
            records,
            tasks: tasks.clone(),
        });
        drop(tasks.spawn(sweep::abort_recorded(Arc::clone(&core), left)));
        drop(tasks.spawn(sweep::run(Arc::clone(&core))));
        Ok(Arc::new(Self { core }))
    }

    /// One small request that tells whether the bucket can be used, for the start.
    ///
    /// # Errors
    /// [`Error::Remote`] with the fault, whose text names the remedy, and the answer of the server.
    pub async fn probe(&self) -> Result<()> {
        let _permit = self.core.enter().await.map_err(|failure| failure.at("probing"))?;
        self.core.probe().await.map_err(|failure| failure.at("probing"))
    }

    /// Whether the tier can be used now. Asks nobody.
    pub fn health(&self) -> S3Health {
        self.core.health.now()
    }

    /// Figures of this moment, for metrics.
    pub fn stats(&self) -> S3Stats {
        let (used, all) = self.core.permits.figures();
        self.core.counters.snapshot(used, all)
    }
}

async fn open_records(folder: PathBuf, tasks: &Tasks) -> Result<(Option<Records>, Vec<Record>), OpenError> {
    let (path, own_tasks) = (folder.clone(), tasks.clone());
    let opening = tasks.spawn_blocking(move || Records::open(folder, &own_tasks));
    match opening.await {
        Ok(Ok((records, left))) => Ok((Some(records), left)),
        Ok(Err(source)) => Err(OpenError::Records { path, source }),
        Err(_) => Err(OpenError::Stopping),
    }
}

#[async_trait]
impl Remote for S3 {
    fn name(&self) -> TierName {
        NAME
    }

    async fn head(&self, key: &StoreKey) -> Result<Option<RemoteEntry>> {
        const OPERATION: &str = "looking at an object";
        let seen = self.core.look(key).await;
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

    /// Valid for 10 minutes, for whatever version is there then.
    async fn link(&self, key: &StoreKey, entry: &RemoteEntry) -> Result<Option<Url>> {
        const OPERATION: &str = "making a link";
        if !object::etag_of(&entry.version).1 {
            // The object holds more than the body.
            return Ok(None);
        }
        let refused = |text: String| Error::remote(OPERATION, RemoteErrorKind::Other, text);
        let valid = PresigningConfig::expires_in(LINK).map_err(|error| refused(error.to_string()))?;
        let core = &self.core;
        let request = core.client.get_object().bucket(core.bucket()).key(core.name(key));
        let signed = Box::pin(request.presigned(valid)).await;
        let link = signed.map_err(|error| fault::Failure::of(&error).at(OPERATION))?;
        let url = Url::parse(link.uri()).map_err(|error| refused(error.to_string()))?;
        Ok(Some(url))
    }

    fn capacity(&self) -> u64 {
        CAPACITY
    }
}

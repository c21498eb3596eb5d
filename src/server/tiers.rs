//! The tiers of a configuration: opened, composed, and closed in the right order.

use std::sync::Arc;

use super::StartError;
use crate::config::{Config, DiskConfig, S3Config, S3Redirect, S3Write};
use crate::store::blocks::{BlockDir, Blocks};
use crate::store::disk::{Disk, DiskRole};
use crate::store::remote::Remote;
use crate::store::s3::{S3, S3Health};
use crate::store::spool::SpoolDir;
use crate::store::tiered::{Policy, Revalidation, Tiered};
use crate::store::{RemoteErrorKind, Store};
use crate::tasks::Tasks;

/// What serves, and its parts for those who look at them.
#[derive(Debug, Clone)]
pub(super) struct Tiers {
    pub(super) store: Arc<dyn Store>,
    pub(super) spools: SpoolDir,
    pub(super) disk: Arc<Disk>,
    pub(super) s3: Option<Arc<S3>>,
    pub(super) tiered: Option<Tiered>,
    /// Fills, commits and uploads. They end before the disk is closed.
    shared: Tasks,
}

impl Tiers {
    /// Opens what is configured. A bucket that cannot be used stops only a server without `disk`, and
    /// only for a reason that will not pass.
    ///
    /// # Errors
    /// [`StartError`].
    pub(super) async fn open(config: &Config, background: &Tasks) -> Result<Self, StartError> {
        let shared = Tasks::new();
        match (&config.disk, &config.s3) {
            (None, None) => Err(StartError::NoTier),
            (Some(disk), None) => Self::disk_alone(disk, background, shared).await,
            (None, Some(s3)) => Self::s3_alone(s3, background, shared).await,
            (Some(disk), Some(s3)) => Self::both(disk, s3, background, shared).await,
        }
    }

    async fn disk_alone(disk: &DiskConfig, background: &Tasks, shared: Tasks) -> Result<Self, StartError> {
        let disk = Disk::open(disk, background).await?;
        Ok(Self {
            store: Arc::clone(&disk) as Arc<_>,
            spools: disk.spools(),
            disk,
            s3: None,
            tiered: None,
            shared,
        })
    }

    /// A small disk before the bucket, where bodies wait and what was read stays for a while. The bucket decides
    /// about everything, as if there were no disk.
    async fn s3_alone(config: &S3Config, background: &Tasks, shared: Tasks) -> Result<Self, StartError> {
        let policy = Policy {
            write: S3Write::Through,
            queue_limit: 0,
            revalidation: Revalidation::Always,
            redirect: redirects(config),
        };
        let disk = Disk::open_as(DiskRole::Staging, &config.staging(), background).await?;
        let (tiers, s3) = Self::compose(disk, config, policy, shared).await?;
        if let Err(error) = probe(&s3).await {
            tiers.close().await;
            return Err(error);
        }
        Ok(tiers)
    }

    async fn both(
        disk: &DiskConfig,
        config: &S3Config,
        background: &Tasks,
        shared: Tasks,
    ) -> Result<Self, StartError> {
        let policy = Policy {
            write: config.write,
            queue_limit: config.queue_limit.unwrap_or(disk.limit / 2),
            revalidation: disk.revalidate_after.into(),
            redirect: redirects(config),
        };
        let disk = Disk::open(disk, background).await?;
        let (tiers, s3) = Self::compose(disk, config, policy, shared).await?;
        drop(tiers.shared.spawn(async move {
            if let Err(error) = probe(&s3).await {
                tracing::warn!("{error}; serving from the disk until it can be used");
            }
        }));
        Ok(tiers)
    }

    /// The disk, whose lock is held, in front of the bucket.
    async fn compose(
        disk: Arc<Disk>,
        config: &S3Config,
        policy: Policy,
        shared: Tasks,
    ) -> Result<(Self, Arc<S3>), StartError> {
        let s3 = S3::open(config, Some(disk.parts_folder()), &shared).await?;
        let remote = Arc::clone(&s3) as Arc<dyn Remote>;
        let tiered = Tiered::start(Arc::clone(&disk), remote, policy, &shared).await;
        let tiered = tiered.map_err(StartError::directory(disk.role()))?;
        let tiers = Self {
            store: Arc::new(tiered.clone()),
            spools: disk.spools(),
            disk,
            s3: Some(Arc::clone(&s3)),
            tiered: Some(tiered),
            shared,
        };
        Ok((tiers, s3))
    }

    /// Uploads in blocks, and those of an earlier run.
    pub(super) async fn blocks(&self) -> Result<(BlockDir, Vec<Blocks>), StartError> {
        let opened = self.disk.blocks().await;
        opened.map_err(StartError::directory(self.disk.role()))
    }

    /// For what ends after the last request and before the disk is closed.
    pub(super) fn tasks(&self) -> Tasks {
        self.shared.clone()
    }

    /// Resolves when the disk tier has finished its scan.
    pub(super) async fn indexed(&self) {
        self.disk.indexed().await;
    }

    /// Ends fills and uploads, then saves the index of the disk. What was not uploaded stays marked.
    pub(super) async fn close(&self) {
        self.shared.finish().await;
        self.disk.close().await;
    }

    /// What the operator should know, a line each; and whether anything can be served.
    pub(super) fn state(&self) -> (Vec<String>, bool) {
        let mut lines = Vec::new();
        if self.disk.stats().indexing {
            lines.push("disk: indexing, serving meanwhile".to_owned());
        }
        let down = match self.s3.as_ref().map(|s3| s3.health()) {
            Some(S3Health::Down { fault, since }) => {
                let seconds = since.elapsed().map_or(0, |time| time.as_secs());
                lines.push(format!("s3: cannot be used since {seconds} s: {fault}"));
                true
            }
            _ => false,
        };
        if let Some(stats) = self.tiered.as_ref().map(Tiered::stats)
            && stats.queued > 0
        {
            let (queued, age) = (stats.queued, stats.queue_age.as_secs());
            lines.push(format!(
                "s3: {queued} changes wait for their upload, the oldest for {age} s"
            ));
        }
        // Nothing is served from a disk that only stages while the bucket is down.
        (lines, self.disk.role() == DiskRole::Tier || !down)
    }
}

/// Asks the bucket once, so that a wrong configuration is told at the start.
async fn probe(s3: &S3) -> Result<(), StartError> {
    let Err(error) = s3.probe().await else {
        tracing::info!("the bucket of s3.bucket can be used");
        return Ok(());
    };
    let kind = error.remote_error_kind().unwrap_or(RemoteErrorKind::Other);
    let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    match kind {
        // It may come back before the first client does.
        RemoteErrorKind::Unreachable
        | RemoteErrorKind::Timeout
        | RemoteErrorKind::Throttled
        | RemoteErrorKind::Resting => {
            tracing::warn!("s3: {kind} ({cause}); reads are misses until it can be used");
            Ok(())
        }
        _ => Err(StartError::Bucket { kind, cause }),
    }
}

fn redirects(config: &S3Config) -> bool {
    config.redirect == S3Redirect::Large
}

//! The tiers of a configuration: opened, composed, and closed in the right order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::StartError;
use super::condition::Condition;
use super::memory::MemoryPlan;
use crate::cache::bucket_rules::{BucketRules, BucketRulesPace};
use crate::config::{Config, DiskConfig, RemoteConfig, WriteMode};
use crate::store::disk::{Disk, DiskHealth, DiskRole};
use crate::store::remote::RemoteTier;
use crate::store::s3::S3;
use crate::store::spool::SpoolDir;
use crate::store::tenant_rules::TenantRules;
use crate::store::tiered::{Policy, Revalidation, Tiered};
use crate::store::{RemoteErrorKind, RemoteHealth, Store};
use crate::tasks::Tasks;

/// The store that serves, and its parts for metrics and health.
#[derive(Debug, Clone)]
pub(super) struct Tiers {
    pub(super) store: Arc<dyn Store>,
    pub(super) spools: SpoolDir,
    pub(super) disk: Arc<Disk>,
    pub(super) remote: Option<Arc<dyn RemoteTier>>,
    pub(super) tiered: Option<Tiered>,
    /// The rules of tenants as the remote tier has to hold them.
    pub(super) bucket_rules: Option<BucketRules>,
    /// Fills, commits and uploads. They end before the disk is closed.
    pub(super) shared: Tasks,
}

impl Tiers {
    /// Opens what is configured. A remote tier that cannot be used stops only a server without `disk`, and
    /// only for a reason that will not pass.
    ///
    /// # Errors
    /// [`StartError`].
    pub(super) async fn open(config: &Config, background: &Tasks) -> Result<Self, StartError> {
        match (&config.disk, config.remote()) {
            (None, None) => Err(StartError::NoTier),
            (Some(disk), None) => Self::disk_alone(config, disk, background).await,
            (None, Some(remote)) => Self::remote_alone(config, remote, background).await,
            (Some(disk), Some(remote)) => Self::both(config, disk, remote, background).await,
        }
    }

    async fn disk_alone(config: &Config, disk: &DiskConfig, background: &Tasks) -> Result<Self, StartError> {
        let disk = open_disk(config, DiskRole::Tier, disk, background).await?;
        Ok(Self {
            store: Arc::clone(&disk) as Arc<_>,
            spools: disk.spools(),
            disk,
            remote: None,
            tiered: None,
            bucket_rules: None,
            shared: Tasks::new(),
        })
    }

    /// A small disk before the remote tier, where bodies wait and what was read stays for a while. The remote tier
    /// decides about everything, as if there were no disk.
    async fn remote_alone(
        config: &Config,
        remote: RemoteConfig<'_>,
        background: &Tasks,
    ) -> Result<Self, StartError> {
        let tiering = remote.tiering();
        let policy = Policy {
            write: WriteMode::Through,
            when_down: tiering.when_down_alone,
            queue_limit: tiering.queue_limit.unwrap_or(tiering.staging.limit / 2),
            revalidation: Revalidation::Always,
            redirect: tiering.redirect,
        };
        let disk = open_disk(config, DiskRole::Staging, &tiering.staging, background).await?;
        let (tiers, remote) = Self::compose(disk, config, remote, policy).await?;
        if let Err(error) = probe(&*remote).await {
            tiers.close().await;
            return Err(error);
        }
        Ok(tiers)
    }

    async fn both(
        config: &Config,
        disk: &DiskConfig,
        remote: RemoteConfig<'_>,
        background: &Tasks,
    ) -> Result<Self, StartError> {
        let tiering = remote.tiering();
        let policy = Policy {
            write: tiering.write,
            when_down: tiering.when_down,
            queue_limit: tiering.queue_limit.unwrap_or(disk.limit / 2),
            revalidation: disk
                .revalidate_after
                .map_or(Revalidation::Never, Revalidation::After),
            redirect: tiering.redirect,
        };
        let disk = open_disk(config, DiskRole::Tier, disk, background).await?;
        let (tiers, remote) = Self::compose(disk, config, remote, policy).await?;
        drop(tiers.shared.spawn(async move {
            if let Err(error) = probe(&*remote).await {
                tracing::warn!("{error}; serving from the disk until it can be used");
            }
        }));
        Ok(tiers)
    }

    /// The disk, whose lock is held, in front of the remote tier.
    async fn compose(
        disk: Arc<Disk>,
        config: &Config,
        remote: RemoteConfig<'_>,
        policy: Policy,
    ) -> Result<(Self, Arc<dyn RemoteTier>), StartError> {
        let shared = Tasks::new();
        let remote = open_remote(config, remote, disk.parts_folder(), &shared).await?;
        let tiered = Tiered::start(Arc::clone(&disk), Arc::clone(&remote), policy, &shared).await;
        let tiered = tiered.map_err(StartError::directory(disk.role()))?;
        let tiers = Self {
            store: Arc::new(tiered.clone()),
            spools: disk.spools(),
            disk,
            remote: Some(Arc::clone(&remote)),
            tiered: Some(tiered),
            bucket_rules: None,
            shared,
        };
        Ok((tiers, remote))
    }

    /// From now on these rules hold, and what they are replaced by.
    pub(super) fn follow(&mut self, rules: &TenantRules) {
        self.disk.follow(rules);
        if let Some(tiered) = &self.tiered {
            let (clock, pace) = (Arc::default(), BucketRulesPace::default());
            let bucket_rules = BucketRules::new(rules.clone(), clock, pace);
            tiered.observe_uses(bucket_rules.observer());
            self.bucket_rules = Some(bucket_rules);
        }
    }

    /// Ends fills and uploads, then saves the index of the disk. What was not uploaded has its record.
    pub(super) async fn close(&self) {
        self.shared.finish().await;
        self.disk.close().await;
    }

    /// What the operator should know; and whether anything can be served.
    pub(super) fn conditions(&self) -> (Vec<Condition>, bool) {
        let mut conditions = Vec::new();
        let mut tell = |subject: &str, text: String, is_fault: bool| {
            let subject = subject.to_owned();
            conditions.push(Condition {
                subject,
                text,
                is_fault,
            });
        };
        if self.disk.stats().indexing {
            tell("disk", "indexing, serving meanwhile".to_owned(), false);
        }
        let disk = self.disk.health();
        if let DiskHealth::Down { fault, since } = &disk {
            let (key, seconds) = (self.disk.role().dir_key(), seconds_since(*since));
            tell(key, format!("cannot be used since {seconds} s: {fault}"), true);
        }
        let Some(remote) = &self.remote else {
            return (conditions, disk == DiskHealth::Up);
        };
        let (name, health) = (remote.name().as_str(), remote.health());
        if let RemoteHealth::Down { kind, since } = health {
            let text = format!("cannot be used since {} s: {kind}", seconds_since(since));
            tell(name, text, true);
        }
        if let Some(stats) = self.tiered.as_ref().map(Tiered::stats)
            && stats.queued > 0
        {
            let (queued, age) = (stats.queued, stats.queue_age.as_secs());
            let text = format!("{queued} changes wait for their upload, the oldest for {age} s");
            tell(name, text, false);
        }
        // Nothing is served from a disk that only stages while the remote tier is down.
        let can_read = self.disk.role() == DiskRole::Tier || health == RemoteHealth::Up;
        (conditions, can_read && disk == DiskHealth::Up)
    }
}

fn seconds_since(time: SystemTime) -> u64 {
    time.elapsed().map_or(0, |time| time.as_secs())
}

/// Opens the disk with its part of `limits.memory`. The rest is for requests.
async fn open_disk(
    config: &Config,
    role: DiskRole,
    disk: &DiskConfig,
    background: &Tasks,
) -> Result<Arc<Disk>, StartError> {
    let plan = MemoryPlan::new(config.limits.memory, disk.memory);
    let (requests, small_bodies) = (plan.requests, plan.small_bodies);
    tracing::debug!(
        requests,
        small_bodies,
        "bytes of memory as limits.memory bounds them"
    );
    let disk = DiskConfig {
        memory: small_bodies,
        ..disk.clone()
    };
    let disk = Disk::open_as(role, &disk, background).await?;
    disk.spools().memory().set_limit(requests);
    Ok(disk)
}

/// Opens the tier: one arm for each kind, and no other place knows their types. `notes` is a folder of this
/// process alone, for what a tier must find again after a crash.
///
/// # Errors
/// [`StartError::RemoteTier`].
async fn open_remote(
    config: &Config,
    remote: RemoteConfig<'_>,
    notes: PathBuf,
    tasks: &Tasks,
) -> Result<Arc<dyn RemoteTier>, StartError> {
    let proxy_file = config.outbound_proxy_file.as_deref();
    Ok(match remote {
        RemoteConfig::S3(s3) => S3::open_through(proxy_file, s3, Some(notes), tasks)
            .await
            .map_err(|error| StartError::RemoteTier(error.into()))?,
    })
}

/// Asks the tier once, so that a wrong configuration is told at the start.
///
/// # Errors
/// [`StartError::Remote`] for a reason that will not pass.
async fn probe(remote: &dyn RemoteTier) -> Result<(), StartError> {
    let Err(error) = remote.probe().await else {
        return Ok(());
    };
    let kind = error.remote_error_kind().unwrap_or(RemoteErrorKind::Other);
    let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    if kind.may_pass() {
        // It may come back before the first client does.
        let name = remote.name().as_str();
        tracing::warn!("{name}: {kind} ({cause}); reads are misses until it can be used");
        return Ok(());
    }
    let key = remote.location_key();
    Err(StartError::Remote { key, kind, cause })
}

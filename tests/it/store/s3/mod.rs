//! A bucket alone: the remote tier itself, and the tiered store over a small disk in front of it.

mod ahead;
mod faults;
mod health;
mod journal;
mod objects;
mod shared;
mod writers;

use std::path::Path;
use std::sync::Arc;

use chacha::config::{S3Config, S3Write};
use chacha::store::disk::{Disk, DiskRole};
use chacha::store::journal::Journal;
use chacha::store::s3::S3;
use chacha::store::spool::SpoolDir;
use chacha::store::tiered::{Policy, Revalidation, Tiered};
use chacha::store::{Precondition, Store};
use chacha::tasks::Tasks;

use super::suite::Tier;
use super::support::*;
use crate::support::s3::S3Server;

conformance!(over_memory, super::over_memory);
conformance!(over_files, super::over_files);

async fn over_memory() -> Tier {
    tier(S3Server::memory()).await
}

async fn over_files() -> Tier {
    tier(S3Server::files()).await
}

async fn tier(server: S3Server) -> Tier {
    let config = configured(&server);
    let far = Far::with(server, config).await;
    Tier {
        store: Arc::new(far.store.tiered.clone()),
        spools: far.store.spools(),
        _keep: Box::new(far),
    }
}

/// A bucket alone as a store, as the server composes it.
#[derive(Clone)]
pub(super) struct BucketAlone {
    pub(super) tiered: Tiered,
    pub(super) disk: Arc<Disk>,
}

impl BucketAlone {
    pub(super) async fn open(s3: &Arc<S3>, dir: &Path, limit: usize, tasks: &Tasks) -> Self {
        let mut config = S3Config::new("named-elsewhere");
        config.staging_dir = Some(dir.to_owned());
        config.staging_limit = limit as u64;
        let disk = Disk::open_as(DiskRole::Staging, &config.staging(), tasks).await;
        let disk = disk.unwrap();
        let policy = Policy {
            write: S3Write::Through,
            queue_limit: 0,
            revalidation: Revalidation::Always,
            redirect: false,
        };
        let remote = Arc::clone(s3);
        let tiered = Tiered::start(Arc::clone(&disk), remote, policy, tasks).await;
        Self {
            tiered: tiered.unwrap(),
            disk,
        }
    }

    pub(super) fn spools(&self) -> SpoolDir {
        self.disk.spools()
    }

    /// As if the disk had evicted it: what is read next comes from the bucket.
    pub(super) async fn forget(&self, name: &str) {
        let gone = self.disk.delete(&key(name), Precondition::None).await;
        assert!(gone.unwrap(), "{name} was not on the disk");
    }
}

impl std::ops::Deref for BucketAlone {
    type Target = Tiered;

    fn deref(&self) -> &Tiered {
        &self.tiered
    }
}

/// A server of its own on the bucket that `config` names; its files are below `dir`.
pub(super) async fn open(config: &S3Config, dir: &Path) -> (Arc<S3>, BucketAlone, Tasks) {
    let tasks = Tasks::new();
    let s3 = S3::open(config, Some(dir.join("records")), &tasks).await.unwrap();
    let store = BucketAlone::open(&s3, &dir.join("staging"), 64 * MIB, &tasks).await;
    (s3, store, tasks)
}

/// The shortest parts that S3 takes.
fn configured(server: &S3Server) -> S3Config {
    let mut config = server.config(S3Server::BUCKET);
    config.part_size = 5 << 20;
    config
}

/// A bucket, and one server on it.
struct Far {
    server: S3Server,
    config: S3Config,
    s3: Arc<S3>,
    store: BucketAlone,
    tasks: Tasks,
    dir: tempfile::TempDir,
}

impl Far {
    async fn new() -> Self {
        Self::changed(|_| {}).await
    }

    async fn changed(change: impl FnOnce(&mut S3Config)) -> Self {
        let server = S3Server::memory();
        let mut config = configured(&server);
        change(&mut config);
        Self::with(server, config).await
    }

    async fn with(server: S3Server, config: S3Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (s3, store, tasks) = open(&config, dir.path()).await;
        Self {
            server,
            config,
            s3,
            store,
            tasks,
            dir,
        }
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        put(&*self.store, &self.store.spools(), &key(name), bytes)
            .await
            .unwrap();
    }

    fn journal(&self) -> Journal {
        Journal::new(self.s3.clone())
    }

    fn requests(&self, operation: &str) -> u64 {
        let stats = self.s3.stats();
        let found = stats.requests.iter().find(|(name, _)| *name == operation);
        found.unwrap().1
    }

    /// Notes about multipart uploads under way.
    fn records(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("records"))
            .unwrap()
            .count()
    }
}

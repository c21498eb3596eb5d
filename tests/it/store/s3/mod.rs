//! A bucket alone: the remote tier itself, and the tiered store over a small disk in front of it.

mod ahead;
mod faults;
mod health;
mod journal;
mod kinds;
mod objects;
mod others;
mod reach;
mod shared;
mod slow;
mod writers;

use std::path::Path;
use std::sync::Arc;

use chacha::config::S3Config;
use chacha::store::journal::Journal;
use chacha::store::s3::S3;
use chacha::tasks::Tasks;

use super::remote_alone::{self, RemoteAlone};
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
    let rig = BucketRig::with(server, config).await;
    Tier {
        store: Arc::new(rig.store.tiered.clone()),
        spools: rig.store.spools(),
        _keep: Box::new(rig),
    }
}

/// A server of its own on the bucket that `config` names; its files are below `dir`.
pub(super) async fn open(config: &S3Config, dir: &Path) -> (Arc<S3>, RemoteAlone, Tasks) {
    let tasks = Tasks::new();
    let s3 = S3::open(config, Some(dir.join("records")), &tasks).await.unwrap();
    let store = RemoteAlone::open(s3.clone(), &dir.join("staging"), 64 * MIB, &tasks).await;
    (s3, store, tasks)
}

/// The shortest parts that S3 takes.
fn configured(server: &S3Server) -> S3Config {
    let mut config = server.config(S3Server::BUCKET);
    config.part_size = 5 << 20;
    config
}

/// A bucket, and one server on it.
struct BucketRig {
    server: S3Server,
    config: S3Config,
    s3: Arc<S3>,
    store: RemoteAlone,
    tasks: Tasks,
    dir: tempfile::TempDir,
}

impl BucketRig {
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

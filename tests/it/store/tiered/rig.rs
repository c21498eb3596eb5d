//! Two tiers and the server behind them, which can be stopped, crashed and started again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chacha::cache::bucket_rules::{BucketRules, BucketRulesParts};
use chacha::cache::peers::{Peers, ServerId};
use chacha::config::{DiskConfig, S3Config, WhenDown, WriteMode};
use chacha::store::disk::Disk;
use chacha::store::s3::S3;
use chacha::store::tiered::{Policy, Revalidation, Tiered};
use chacha::store::{Entry, Meta, Precondition, Result, Store};
use chacha::tasks::Tasks;

use super::super::support::*;
use crate::support::s3::S3Server;

/// What a test may change.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) disk: DiskConfig,
    pub(crate) s3: S3Config,
    pub(crate) policy: Policy,
}

/// Both tiers, and their tasks.
pub(crate) struct Both {
    pub(crate) disk: Arc<Disk>,
    pub(crate) tiered: Tiered,
    remote: Arc<S3>,
    local_tasks: Tasks,
    remote_tasks: Tasks,
}

impl Plan {
    /// A disk below `dir`. Parts of 1 MiB, so that small bodies have many.
    pub(crate) fn new(dir: &Path, mut s3: S3Config) -> Self {
        s3.part_size = MIB as u64;
        s3.idle_timeout = Duration::from_secs(2);
        Self {
            disk: config(dir, 64 * MIB),
            s3,
            policy: Policy {
                write: WriteMode::Through,
                when_down: WhenDown::Refuse,
                queue_limit: 32 << 20,
                revalidation: Revalidation::Never,
                redirect: false,
            },
        }
    }

    pub(crate) async fn start(&self) -> Both {
        let (disk, local_tasks) = open_when_free(&self.disk).await;
        let remote_tasks = Tasks::new();
        let remote = S3::open(&self.s3, Some(disk.parts_folder()), &remote_tasks)
            .await
            .unwrap();
        let shared = Arc::clone(&remote);
        let tiered = Tiered::start(Arc::clone(&disk), shared, self.policy, &remote_tasks)
            .await
            .unwrap();
        Both {
            disk,
            tiered,
            remote,
            local_tasks,
            remote_tasks,
        }
    }
}

/// A disk in front of a bucket.
pub(crate) struct Pair {
    pub(crate) s3: Arc<S3Server>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) tiered: Tiered,
    pub(crate) plan: Plan,
    remote: Arc<S3>,
    local_tasks: Tasks,
    remote_tasks: Tasks,
    dir: Option<tempfile::TempDir>,
}

/// Writes are answered when the disk has them.
pub(crate) fn back(plan: &mut Plan) {
    plan.policy.write = WriteMode::Back;
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(S3Server::memory()), |_| {}).await
    }

    pub(crate) async fn with(s3: Arc<S3Server>, change: impl FnOnce(&mut Plan)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut plan = Plan::new(dir.path(), s3.config(S3Server::BUCKET));
        change(&mut plan);
        Self::open(s3, plan, Some(dir)).await
    }

    async fn open(s3: Arc<S3Server>, plan: Plan, dir: Option<tempfile::TempDir>) -> Self {
        let Both {
            disk,
            tiered,
            remote,
            local_tasks,
            remote_tasks,
        } = plan.start().await;
        Self {
            s3,
            disk,
            tiered,
            plan,
            remote,
            local_tasks,
            remote_tasks,
            dir,
        }
    }

    /// Another server with a disk of its own over the same bucket.
    pub(crate) async fn twin(&self, change: impl FnOnce(&mut Plan)) -> Self {
        Self::with(Arc::clone(&self.s3), change).await
    }

    /// The folder of the cache.
    pub(crate) fn folder(&self) -> &Path {
        &self.plan.disk.dir
    }

    /// Holds rules in the bucket, as a server that knows no other.
    pub(crate) fn hold(&self, rules: &BucketRules) {
        let parts = BucketRulesParts {
            remote: Arc::clone(&self.remote) as _,
            peers: Peers::alone(ServerId::new(1).unwrap()),
            mark: self.folder().with_file_name("uses"),
        };
        rules.start(parts, &self.remote_tasks);
    }

    /// Requests to S3 that are under way.
    pub(crate) fn permits_used(&self) -> usize {
        self.remote.stats().permits_used
    }

    /// Ends everything that has to do with S3.
    pub(crate) async fn stop(self) -> Self {
        self.remote_tasks.finish().await;
        self
    }

    /// A clean stop, and a start on the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.remote_tasks.finish().await;
        self.disk.close().await;
        self.crash().await
    }

    /// Stops everything without closing the tier, and opens it again.
    pub(crate) async fn crash(mut self) -> Self {
        self.remote_tasks.finish().await;
        self.local_tasks.finish().await;
        let (s3, plan, dir) = (Arc::clone(&self.s3), self.plan.clone(), self.dir.take());
        drop(self);
        Self::open(s3, plan, dir).await
    }

    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> Arc<Meta> {
        self.try_put(name, bytes).await.unwrap()
    }

    pub(crate) async fn try_put(&self, name: &str, bytes: &[u8]) -> Result<Arc<Meta>> {
        put(&self.tiered, &self.disk.spools(), &key(name), bytes).await
    }

    pub(crate) async fn get(&self, name: &str) -> Option<Bytes> {
        get(&self.tiered, &key(name)).await
    }

    pub(crate) async fn entry(&self, name: &str) -> Entry {
        self.tiered.get(&key(name)).await.unwrap().unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<bool> {
        self.tiered.delete(&key(name), Precondition::None).await
    }

    /// What is on the disk alone.
    pub(crate) async fn local(&self, name: &str) -> Option<Bytes> {
        get(&*self.disk, &key(name)).await
    }

    /// As if the disk had evicted it.
    pub(crate) async fn forget(&self, name: &str) {
        assert!(self.disk.delete(&key(name), Precondition::None).await.unwrap());
    }

    /// An entry that only S3 has; and a clean log of requests.
    pub(crate) async fn cold(&self, name: &str, bytes: &[u8]) {
        self.put(name, bytes).await;
        self.forget(name).await;
        self.s3.forget();
    }

    /// Waits until the disk has the entry.
    pub(crate) async fn kept(&self, name: &str) {
        let busy = || self.disk.stats().reserved > 0 || self.tiered.stats().filling > 0;
        until("the fill is on the disk", || !busy()).await;
        assert!(self.local(name).await.is_some(), "{name} is not on the disk");
    }

    /// Bytes that the account says are in use, without the room for notes of uploads that are not there.
    pub(crate) fn counted(&self) -> u64 {
        self.disk.stats().used - 64 * 4096
    }

    /// Waits until S3 has heard of everything.
    pub(crate) async fn drained(&self) {
        until("the queue is empty", || self.tiered.stats().queued == 0).await;
    }
}

impl Pair {
    /// So many parts at once.
    pub(crate) async fn with_parallel(parts: usize) -> Self {
        Self::with(Arc::new(S3Server::memory()), |plan| {
            plan.s3.parallel_parts = parts;
        })
        .await
    }

    /// A disk of so many bytes.
    pub(crate) async fn with_limit(limit: usize) -> Self {
        Self::with(Arc::new(S3Server::memory()), |plan| {
            plan.disk.limit = limit as u64;
        })
        .await
    }
}

/// Takes a copy of a cache directory, as a killed process would leave it.
pub(crate) struct CopyLater(std::path::PathBuf);

/// How many keys have a record in a cache directory.
pub(crate) fn records(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("marks")).map_or(0, |files| files.count())
}

impl CopyLater {
    /// Of such a copy.
    pub(crate) fn of(copy: &tempfile::TempDir) -> Self {
        Self(copy.path().join("cache"))
    }

    pub(crate) fn take(&self) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        copy_tree(&self.0, &to.path().join("cache"));
        to
    }
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        match file.path().is_dir() {
            true => copy_tree(&file.path(), &to),
            false => _ = std::fs::copy(file.path(), to).unwrap(),
        }
    }
}

impl Pair {
    pub(crate) fn crash_copy(&self) -> CopyLater {
        CopyLater(self.plan.disk.dir.clone())
    }

    /// A server that starts on such a copy, over the same bucket.
    pub(crate) async fn on_copy(&self, copy: tempfile::TempDir) -> Self {
        let mut plan = self.plan.clone();
        plan.disk.dir = copy.path().join("cache");
        Self::open(Arc::clone(&self.s3), plan, Some(copy)).await
    }
}

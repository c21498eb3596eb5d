//! The folder where bodies wait until they are sent. Nothing in it outlives a run, uploads in blocks neither,
//! and nothing can be evicted: a body that finds no room fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store;
use crate::store::blocks::{BlockDir, Blocks};
use crate::store::budget::Budget;
use crate::store::lock::{DirLock, LockError};
use crate::store::spool::SpoolDir;
use crate::sys;
use crate::tasks::Tasks;

/// The folder with the bodies, below the configured one: nothing else is ever removed.
const BODIES: &str = "bodies";
/// The folder with uploads in blocks, beside it.
const UPLOADS: &str = "uploads";
const LOCK: &str = "lock";

/// Why the staging folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("s3.staging_dir: cannot {action} {path}: {source}; it must be writable for this user")]
    Unusable {
        /// What was tried.
        action: &'static str,
        /// Where it was tried.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// Another server works there.
    #[error(
        "s3.staging_dir: {path} is in use by another running server{}; stop it, or name another folder",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The configured path.
        path: PathBuf,
        /// The process that holds it.
        pid: Option<u32>,
    },
    /// The server stops before it has begun.
    #[error("the server is shutting down")]
    Stopping,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) spools: SpoolDir,
    uploads: PathBuf,
    tasks: Tasks,
    lock: DirLock,
    stop: CancellationToken,
}

impl Staging {
    pub(super) async fn open(dir: &Path, limit: u64, tasks: &Tasks) -> Result<Self, OpenError> {
        let path = dir.to_owned();
        let hop = tasks.spawn_blocking(move || take(&path));
        let (lock, bodies, used) = hop.await.map_err(|_| OpenError::Stopping)??;
        let budget = Budget::new(limit, used, Duration::ZERO);
        budget.settled();
        let stop = tasks.stopping().child_token();
        drop(tasks.spawn(refuse(Arc::clone(&budget), stop.clone())));
        Ok(Self {
            spools: SpoolDir::new(bodies, budget, tasks.clone()),
            uploads: dir.join(UPLOADS),
            tasks: tasks.clone(),
            lock,
            stop,
        })
    }

    /// Where bodies arrive in blocks. There is nothing of an earlier run.
    pub(super) async fn blocks(&self) -> store::Result<(BlockDir, Vec<Blocks>)> {
        BlockDir::open(self.uploads.clone(), self.spools.clone(), &self.tasks).await
    }

    pub(super) fn close(&self) {
        self.stop.cancel();
        self.lock.release();
    }
}

/// Takes the place of an evictor: there is nothing to evict.
async fn refuse(budget: Arc<Budget>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = budget.wanted() => {}
        }
        for (_, answer) in budget.demands() {
            // Who asked may have left.
            let _left = answer.send(0);
        }
        budget.exhausted();
    }
    budget.close();
}

/// Blocking: makes the folder ours and empties it. Answers where bodies go, and the bytes in use.
fn take(dir: &Path) -> Result<(DirLock, PathBuf, u64), OpenError> {
    let unusable = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Unusable { action, path, source }
    };
    sys::create_private_dir(dir).map_err(unusable("make", dir))?;
    let lock_file = dir.join(LOCK);
    let lock = DirLock::take(&lock_file).map_err(|refused| match refused {
        LockError::Held(pid) => OpenError::InUse {
            path: dir.to_owned(),
            pid,
        },
        LockError::Io(source) => unusable("write", &lock_file)(source),
    })?;
    let bodies = dir.join(BODIES);
    for left in [&bodies, &dir.join(UPLOADS)] {
        match std::fs::remove_dir_all(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unusable("empty", left)(error));
            }
            _ => {}
        }
    }
    sys::create_private_dir(&bodies).map_err(unusable("make", &bodies))?;
    let used = [dir, &bodies, &lock_file].iter().try_fold(0, |sum, path| {
        let metadata = path.metadata().map_err(unusable("read", path))?;
        Ok(sum + sys::block_bytes(&metadata))
    })?;
    Ok((lock, bodies, used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn one_process_only_and_nothing_is_left_of_an_earlier_run() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("staging");
        let tasks = Tasks::new();
        let staging = Staging::open(&path, 1 << 20, &tasks).await.expect("open");
        let again = Staging::open(&path, 1 << 20, &tasks).await;
        assert!(matches!(again, Err(OpenError::InUse { pid: Some(_), .. })));
        std::fs::write(path.join(BODIES).join("left"), "over").expect("write");
        std::fs::write(path.join("foreign"), "stays").expect("write");
        std::fs::create_dir(path.join(UPLOADS)).expect("folder");
        std::fs::write(path.join(UPLOADS).join("left"), "over").expect("write");
        staging.close();
        // A child process that another test starts holds every lock until it executes its program.
        let next = loop {
            match Staging::open(&path, 1 << 20, &tasks).await {
                Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
                other => break other.expect("open"),
            }
        };
        assert_eq!(path.join(BODIES).read_dir().expect("folder").count(), 0);
        assert!(next.blocks().await.expect("uploads").1.is_empty());
        assert_eq!(path.join(UPLOADS).read_dir().expect("folder").count(), 0);
        assert!(path.join("foreign").exists());
        next.close();
        tasks.finish().await;
    }

    #[tokio::test]
    async fn what_finds_no_room_fails_at_once_and_gives_back_what_it_held() {
        let dir = tempfile::tempdir().expect("folder");
        let tasks = Tasks::new();
        let staging = Staging::open(dir.path(), 1 << 20, &tasks).await.expect("open");
        let mut first = staging.spools.create(Some(700 << 10)).await.expect("room");
        first
            .write(Bytes::from(vec![0; 700 << 10]))
            .await
            .expect("room for all of it");
        let mut second = staging.spools.create(None).await.expect("room for a step");
        let refused = loop {
            if let Err(error) = second.write(Bytes::from(vec![0; 64 << 10])).await {
                break error;
            }
        };
        assert!(
            matches!(refused, crate::store::Error::NoSpace { .. }),
            "{refused}"
        );
        drop((first, second));
        let mut third = staging.spools.create(Some(700 << 10)).await.expect("room again");
        let whole = third.write(Bytes::from(vec![0; 700 << 10])).await;
        assert!(whole.is_ok());
        drop(third);
        staging.close();
        tasks.finish().await;
    }
}

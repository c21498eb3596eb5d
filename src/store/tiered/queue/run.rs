//! The workers of the queue.

use std::sync::Arc;
use std::time::Duration;

use super::{ChangeKind, QueuedChange};
use crate::store::tiered::TieredCore;
use crate::store::{Digest, Draft, Error, Precondition, RemoteErrorKind, Result, StoreKey};
use crate::tasks;

/// Uploads at once.
const MAX_UPLOADS: usize = 4;
/// The pause after the first failure; each further one is twice as long, up to [`MAX_RETRY_INTERVAL`].
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The longest pause of a worker.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Starts the workers. They end with the server; what is not done then stays marked.
pub(in crate::store::tiered) fn start(core: &Arc<TieredCore>) {
    for _ in 0..MAX_UPLOADS {
        drop(core.tasks.spawn(work(Arc::clone(core))));
    }
}

async fn work(core: Arc<TieredCore>) {
    let stop = core.tasks.stopping();
    let mut pause = RETRY_INTERVAL;
    loop {
        let step = async {
            let (digest, job) = core.queue.next().await;
            match send(&core, &digest, &job).await {
                Ok(()) => pause = RETRY_INTERVAL,
                Err(error) => {
                    core.counters.failed_uploads.inc();
                    warn(&error);
                    core.queue.put_back(digest);
                    tasks::pause(pause).await;
                    pause = MAX_RETRY_INTERVAL.min(pause * 2);
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = step => {}
        }
    }
}

fn warn(error: &Error) {
    // The remote tier's own state is logged once, by itself.
    let resting = error.remote_error_kind() == Some(RemoteErrorKind::Resting);
    if !resting && !matches!(error, Error::Stopping) {
        let error = error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "an upload from the queue has failed and is tried again later"
        );
    }
}

/// Does one job, unless a later change takes its place meanwhile.
async fn send(core: &Arc<TieredCore>, digest: &Digest, job: &QueuedChange) -> Result<()> {
    match &job.kind {
        ChangeKind::Delete(key) => delete(core, key, job).await,
        ChangeKind::Upload { first } => upload(core, digest, job, *first).await,
    }
}

async fn delete(core: &Arc<TieredCore>, key: &StoreKey, job: &QueuedChange) -> Result<()> {
    let _change = core.changes.lock(key.digest()).await;
    if core.queue.is_current(key.digest(), job) {
        core.remote.delete(key, &Precondition::None).await?;
        core.fills.outdate(key.digest());
        core.settle(key.digest()).await;
    } else {
        core.queue.put_back(*key.digest());
    }
    Ok(())
}

async fn upload(core: &Arc<TieredCore>, digest: &Digest, job: &QueuedChange, first: bool) -> Result<()> {
    let Some((key, sums, entry)) = core.local.entry(digest).await? else {
        return lost(core, digest, job).await;
    };
    let draft = Draft {
        origin: entry.meta.origin.clone(),
        metadata: entry.meta.metadata.clone(),
    };
    let upload = core.remote.upload(&key, draft, &sums, entry.content).await?;
    // A task of its own, which a stopping worker does not interrupt: the entry and its mark belong together.
    let (owned, digest, job) = (Arc::clone(core), *digest, job.clone());
    let commit = async move {
        let core = owned;
        let _change = core.changes.lock(&digest).await;
        if !core.queue.is_current(&digest, &job) {
            core.queue.put_back(digest);
            return Ok(());
        }
        let precondition = match first {
            true => Precondition::Absent,
            false => Precondition::None,
        };
        match upload.commit(&precondition).await {
            Ok(_) => drop(core.counters.uploads.inc()),
            // Another server was first; its entry is the one.
            Err(Error::Precondition) => core.drop_local(&key).await,
            Err(error) => return Err(error),
        }
        core.fills.outdate(&digest);
        core.settle(&digest).await;
        Ok(())
    };
    core.unbroken(commit).await
}

/// The entry is not on the disk, or damaged: there is nothing to upload.
async fn lost(core: &Arc<TieredCore>, digest: &Digest, job: &QueuedChange) -> Result<()> {
    let _change = core.changes.lock(digest).await;
    if core.queue.is_current(digest, job) && !core.local.contains(digest).await? {
        tracing::warn!("an entry was lost from the disk before the shared tier had it");
        core.settle(digest).await;
    } else {
        core.queue.put_back(*digest);
    }
    Ok(())
}

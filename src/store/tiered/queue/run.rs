//! The workers of the queue.

use std::sync::Arc;
use std::time::Duration;

use super::{ChangeKind, QueuedChange};
use crate::store::Digest;
use crate::store::tiered::TieredCore;
use crate::store::{Draft, Error, Precondition, Result, StoreKey};
use crate::tasks;

/// Uploads at once.
const MAX_UPLOADS: usize = 4;
/// The pause after the first failure; each further one is twice as long, up to [`MAX_RETRY_INTERVAL`].
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The longest pause of a worker.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Starts the workers. They end with the server; what is not done then stays marked.
pub(in crate::store::tiered) fn start(inner: &Arc<TieredCore>) {
    for _ in 0..MAX_UPLOADS {
        drop(inner.tasks.spawn(work(Arc::clone(inner))));
    }
}

async fn work(inner: Arc<TieredCore>) {
    let stop = inner.tasks.stopping();
    let mut pause = RETRY_INTERVAL;
    loop {
        let step = async {
            let (digest, job) = inner.queue.next().await;
            match tell(&inner, &digest, &job).await {
                Ok(()) => pause = RETRY_INTERVAL,
                Err(error) => {
                    inner.counters.upload_failed();
                    warn(&error);
                    inner.queue.put_back(digest);
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
    let resting = error.remote_error_kind() == Some(crate::store::RemoteErrorKind::Resting);
    if !resting && !matches!(error, Error::Stopping) {
        let error = error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "an upload from the queue has failed and is tried again later"
        );
    }
}

/// Does one job, unless a later change takes its place meanwhile.
async fn tell(inner: &Arc<TieredCore>, digest: &Digest, job: &QueuedChange) -> Result<()> {
    match &job.kind {
        ChangeKind::Delete(key) => delete(inner, key, job).await,
        ChangeKind::Upload { first } => upload(inner, digest, job, *first).await,
    }
}

async fn delete(inner: &Arc<TieredCore>, key: &StoreKey, job: &QueuedChange) -> Result<()> {
    let _change = inner.changes.lock(key.digest()).await;
    if inner.queue.is_current(key.digest(), job) {
        inner.remote.delete(key, &Precondition::None).await?;
        inner.fills.outdate(key.digest());
        inner.settle(key.digest()).await;
    } else {
        inner.queue.put_back(*key.digest());
    }
    Ok(())
}

async fn upload(inner: &Arc<TieredCore>, digest: &Digest, job: &QueuedChange, first: bool) -> Result<()> {
    let Some((key, sums, entry)) = inner.local.entry(digest).await? else {
        return lost(inner, digest, job).await;
    };
    let draft = Draft {
        origin: entry.meta.origin.clone(),
        metadata: entry.meta.metadata.clone(),
    };
    let upload = inner.remote.upload(&key, draft, &sums, entry.content).await?;
    // Made visible in one go, whatever ends this worker: the entry and its mark belong together.
    let (owned, digest, job) = (Arc::clone(inner), *digest, job.clone());
    let commit = async move {
        let inner = owned;
        let _change = inner.changes.lock(&digest).await;
        if !inner.queue.is_current(&digest, &job) {
            inner.queue.put_back(digest);
            return Ok(());
        }
        let precondition = if first {
            Precondition::Absent
        } else {
            Precondition::None
        };
        match upload.commit(&precondition).await {
            Ok(_) => inner.counters.uploaded(),
            // Another server was first; its entry is the one.
            Err(Error::Precondition) => inner.drop_local(&key).await,
            Err(error) => return Err(error),
        }
        inner.fills.outdate(&digest);
        inner.settle(&digest).await;
        Ok(())
    };
    inner.unbroken(commit).await
}

/// The entry is not on the disk, or damaged: nothing can be told.
async fn lost(inner: &Arc<TieredCore>, digest: &Digest, job: &QueuedChange) -> Result<()> {
    let _change = inner.changes.lock(digest).await;
    if inner.queue.is_current(digest, job) && !inner.local.contains(digest).await? {
        tracing::warn!("an entry was lost from the disk before the shared tier had it");
        inner.settle(digest).await;
    } else {
        inner.queue.put_back(*digest);
    }
    Ok(())
}

//! The workers of the queue.

use std::sync::Arc;
use std::time::Duration;

use super::{ChangeKind, QueuedChange};
use crate::store::remote::{RemoteEntry, RemoteUpload};
use crate::store::tiered::TieredCore;
use crate::store::tiered::newer::is_newer;
use crate::store::{Draft, Entry, Error, Precondition, RemoteErrorKind, RemoteHealth, Result, StoreKey};
use crate::tasks;

/// Jobs for the remote tier at once.
const MAX_UPLOADS: usize = 4;
/// The pause of a job after its first failure; each further one is twice as long.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The longest pause of a job that failed for a reason that may pass by itself: the remote tier is used again within
/// two seconds.
const MAX_SHORT_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause of a job that failed for another reason.
const MAX_LONG_PAUSE: Duration = Duration::from_secs(60);
/// How long a worker rests after a failure: many jobs that fail must not become many requests. It is doubled by each
/// failure that may pass.
const MIN_REST: Duration = Duration::from_millis(100);
/// The longest rest of a worker.
const MAX_REST: Duration = Duration::from_secs(1);
/// How often a worker looks whether the remote tier is back. A look sends no request.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// Starts the workers. They end with the server; what is not done then is in the records.
pub(in crate::store::tiered) fn start(core: &Arc<TieredCore>) {
    drop(core.tasks.spawn(work(Arc::clone(core), true)));
    for _ in 0..MAX_UPLOADS {
        drop(core.tasks.spawn(work(Arc::clone(core), false)));
    }
}

async fn work(core: Arc<TieredCore>, is_local: bool) {
    let stop = core.tasks.stopping();
    let mut failures = 0;
    loop {
        let step = async {
            while !is_local && core.remote.health() != RemoteHealth::Up {
                tasks::pause(HEALTH_INTERVAL).await;
            }
            let job = core.queue.next(is_local).await;
            match send(&core, &job).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failed(&core, &job, &error);
                    let may_pass = error.remote_error_kind().is_some_and(RemoteErrorKind::may_pass);
                    failures = if may_pass { failures + 1 } else { 0 };
                    tasks::pause(MAX_REST.min(MIN_REST * 2_u32.saturating_pow(failures.min(16)))).await;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = step => {}
        }
    }
}

/// Puts the job back for later.
fn failed(core: &TieredCore, job: &QueuedChange, error: &Error) {
    let kind = error.remote_error_kind();
    if !matches!(error, Error::Stopping) {
        core.counters.failed_uploads.inc();
    }
    // The remote tier's own state is logged by itself.
    if kind != Some(RemoteErrorKind::Resting) && !matches!(error, Error::Stopping) {
        core.complain(&job.key, error);
    }
    let longest = match kind.is_some_and(RemoteErrorKind::may_pass) {
        true => MAX_SHORT_PAUSE,
        false => MAX_LONG_PAUSE,
    };
    let pause = |tries: u32| longest.min(RETRY_INTERVAL * 2_u32.saturating_pow(tries.min(16)));
    let in_doubt = kind.is_some_and(RemoteErrorKind::leaves_doubt);
    core.queue.retry(job, pause, in_doubt);
}

/// Does one job, unless a later change takes its place meanwhile.
async fn send(core: &Arc<TieredCore>, job: &QueuedChange) -> Result<()> {
    if let ChangeKind::Upload { first, .. } = &job.kind {
        return upload(core, job, *first).await;
    }
    // A task of its own, which a stopping worker does not interrupt: the change and its record belong together.
    let (owned, job) = (Arc::clone(core), job.clone());
    let short = async move {
        let core = owned;
        let _change = core.changes.lock(job.key.digest()).await;
        match core.queue.is_current(&job) {
            true => core.settle_job(&job).await,
            false => Ok(()),
        }
    };
    core.unbroken(short).await
}

impl TieredCore {
    /// Does a job that sends no body. Under the lock of the key.
    async fn settle_job(&self, job: &QueuedChange) -> Result<()> {
        match job.kind {
            ChangeKind::Unresolved(_) | ChangeKind::Drop => self.resolve(job.key.digest()).await,
            ChangeKind::Clear => {
                self.local.clear_record(job.key.digest()).await?;
                self.queue.settle(job.key.digest());
                Ok(())
            }
            ChangeKind::Delete => self.send_delete(job).await,
            ChangeKind::Upload { .. } => Ok(()),
        }
    }

    /// What another server has stored since the delete was answered stays.
    async fn send_delete(&self, job: &QueuedChange) -> Result<()> {
        self.local.discard(job.key.digest()).await?;
        match self.remote_entry(&job.key).await? {
            Some(there) if is_newer(&there, job.since) => tracing::info!(
                entry = job.key.short(),
                "another server has stored an entry since it was deleted here; it stays"
            ),
            Some(there) => self.remote.delete_version(&job.key, &there).await?,
            None => {}
        }
        self.arrived(&job.key).await;
        self.finish(&job.key).await;
        Ok(())
    }

    /// What the remote tier has under a key. An object that is not the entry counts as nothing.
    ///
    /// An answer may have been damaged on its way, too. So a delete decides that would only succeed on nothing: it
    /// looks by itself, and touches neither an entry nor anything else.
    async fn remote_entry(&self, key: &StoreKey) -> Result<Option<RemoteEntry>> {
        match self.remote.head(key).await {
            Err(error) if error.remote_error_kind() == Some(RemoteErrorKind::Damaged) => {
                let nothing = self.remote.delete(key, &Precondition::Absent).await;
                nothing.map(|_| None).map_err(|_| error)
            }
            found => found,
        }
    }

    /// Sends what waits about a key now, because a change that cannot wait follows it. Under the lock of the key.
    pub(in crate::store::tiered) async fn flush(&self, job: &QueuedChange) -> Result<()> {
        let ChangeKind::Upload { first, .. } = job.kind else {
            return self.settle_job(job).await;
        };
        let step = self.begin_upload(job, first).await?;
        self.end_upload(job, first, step).await
    }

    /// The last step of an upload.
    async fn end_upload(&self, job: &QueuedChange, first: bool, step: Step) -> Result<()> {
        match step {
            Step::Commit(upload, entry) => self.commit_upload(job, first, upload, &entry).await,
            Step::Done => self.finish_upload(job).await,
            Step::Superseded => self.give_way(job).await,
            Step::Lost => self.lose(job).await,
        }
    }

    async fn begin_upload(&self, job: &QueuedChange, first: bool) -> Result<Step> {
        let Some((key, sums, entry)) = self.local.entry(job.key.digest()).await? else {
            return Ok(Step::Lost);
        };
        if job.repeated
            && let Some(step) = self.repeated(job, &entry, first).await?
        {
            return Ok(step);
        }
        let draft = Draft {
            origin: entry.meta.origin.clone(),
            metadata: entry.meta.metadata.clone(),
        };
        // After a restart nobody but the entry tells whose it is.
        let writer = entry.meta.origin.tenancy.as_ref();
        let asker = writer.map_or(job.key.asker(), |writer| writer.tenant.asker());
        let key = key.asked_by(asker);
        let upload = self.remote.upload(&key, draft, &sums, entry.content.clone());
        Ok(Step::Commit(upload.await?, entry))
    }

    /// An upload that may have been done before must not replace what another server has stored since.
    async fn repeated(&self, job: &QueuedChange, entry: &Entry, first: bool) -> Result<Option<Step>> {
        let Some(there) = self.remote_entry(&job.key).await? else {
            return Ok(None);
        };
        let (ours, theirs) = (&entry.meta, &there.meta);
        if theirs.etag == ours.etag && theirs.metadata == ours.metadata {
            return Ok(Some(Step::Done));
        }
        let gives_way = first || is_newer(&there, ours.origin.stored);
        Ok(gives_way.then_some(Step::Superseded))
    }

    async fn commit_upload(
        &self,
        job: &QueuedChange,
        first: bool,
        upload: Box<dyn RemoteUpload>,
        entry: &Entry,
    ) -> Result<()> {
        let precondition = match first {
            true => Precondition::Absent,
            false => Precondition::None,
        };
        match upload.commit(&precondition).await {
            Ok(_) => self.finish_upload(job).await,
            Err(Error::Precondition) => match self.repeated(job, entry, true).await? {
                Some(Step::Done) => self.finish_upload(job).await,
                _ => self.give_way(job).await,
            },
            Err(error) => Err(error),
        }
    }

    async fn finish_upload(&self, job: &QueuedChange) -> Result<()> {
        self.counters.uploads.inc();
        self.arrived(&job.key).await;
        self.finish(&job.key).await;
        Ok(())
    }

    /// Another server was first; its entry is the one. Readers get it, or a miss, and never a mixture.
    async fn give_way(&self, job: &QueuedChange) -> Result<()> {
        self.counters.conflicts.inc();
        tracing::warn!(
            entry = job.key.short(),
            "another server has stored an entry first; the one that waited here is dropped"
        );
        self.arrived(&job.key).await;
        self.drop_doubtful(&job.key).await;
        Ok(())
    }

    /// The entry that waits is damaged or gone. Nobody may get an older one in its place, so that one goes, too.
    async fn lose(&self, job: &QueuedChange) -> Result<()> {
        let digest = job.key.digest();
        if self.local.entry(digest).await?.is_some() {
            // There is one by now.
            let again = "an entry was put back while it was looked for";
            return Err(Error::io("uploading an entry", std::io::Error::other(again)));
        }
        let generation = self.local.generation(digest).await?;
        if generation > 0 {
            self.local.condemn(digest, generation).await?;
        }
        if let Some(there) = self.remote_entry(&job.key).await?
            && !is_newer(&there, job.since)
        {
            if job.kind.is_upload_of(&there.meta.etag) {
                // It got there before the disk lost it.
                return self.finish_upload(job).await;
            }
            self.remote.delete_version(&job.key, &there).await?;
            self.arrived(&job.key).await;
        }
        tracing::warn!(
            entry = job.key.short(),
            "an entry was damaged or lost on the disk before the shared tier had it; it is a miss now"
        );
        self.finish(&job.key).await;
        Ok(())
    }
}

/// How an upload goes on.
enum Step {
    Commit(Box<dyn RemoteUpload>, Entry),
    /// The remote tier has it.
    Done,
    /// The remote tier has one that counts more.
    Superseded,
    /// There is nothing to send.
    Lost,
}

/// The body goes without the lock of the key, the rest under it.
async fn upload(core: &Arc<TieredCore>, job: &QueuedChange, first: bool) -> Result<()> {
    let step = core.begin_upload(job, first).await?;
    let (owned, job) = (Arc::clone(core), job.clone());
    let commit = async move {
        let core = owned;
        let _change = core.changes.lock(job.key.digest()).await;
        if !core.queue.is_current(&job) {
            return Ok(());
        }
        let step = match step {
            // Another server may have changed the key while the body went.
            Step::Commit(upload, entry) if !job.repeated && core.queue.is_in_doubt(job.key.digest()) => {
                let other = core.repeated(&job, &entry, first).await?;
                other.unwrap_or(Step::Commit(upload, entry))
            }
            step => step,
        };
        core.end_upload(&job, first, step).await
    };
    core.unbroken(commit).await
}

//! Aborts multipart uploads that no server will complete: those of an earlier run, and those older than a day.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::core::Core;
use super::error::{S3Error, S3ErrorKind};
use super::notes::MultipartNote;
use super::stats::Op;
use super::upload::parts::{self, abort_once, settle};
use crate::store::{Asker, RemoteErrorKind};
use crate::tasks::pause;

/// Between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Before the next attempt when S3 cannot be used.
const RETRY_INTERVAL: Duration = Duration::from_secs(300);
/// Older uploads are aborted: no body takes that long.
const MAX_UPLOAD_AGE: Duration = Duration::from_secs(24 * 3600);

/// Aborts what an earlier run left, as soon as S3 can be used.
pub(super) async fn abort_noted(core: Arc<Core>, mut left: Vec<MultipartNote>) {
    let stopping = core.tasks.stopping();
    while !left.is_empty() {
        for note in std::mem::take(&mut left) {
            let settled = tokio::select! {
                () = stopping.cancelled() => return,
                settled = settle(&core, Asker::SERVER, (&note.object, &note.upload)) => settled,
            };
            if !settled {
                left.push(note);
            }
        }
        if left.is_empty() {
            return;
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = pause(parts::ABORT_INTERVAL) => {}
        }
    }
}

/// Sweeps until the server stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopping = core.tasks.stopping();
    let mut refused = false;
    loop {
        let outcome = tokio::select! {
            () = stopping.cancelled() => return,
            outcome = sweep(&core) => outcome,
        };
        let next = match outcome {
            Ok(0) => SWEEP_INTERVAL,
            Ok(aborted) => {
                tracing::info!(aborted, "aborted multipart uploads that were older than a day");
                SWEEP_INTERVAL
            }
            Err(failure) if is_refused(&failure) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::info!(
                        cause = failure.text,
                        "S3 does not list multipart uploads for us; let a lifecycle rule remove old ones"
                    );
                }
                SWEEP_INTERVAL
            }
            Err(_) => RETRY_INTERVAL,
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = pause(next) => {}
        }
    }
}

fn is_refused(failure: &S3Error) -> bool {
    matches!(
        failure.kind,
        S3ErrorKind::Unsupported | S3ErrorKind::Missing | S3ErrorKind::Remote(RemoteErrorKind::Denied)
    )
}

/// Aborts old uploads. Answers how many.
async fn sweep(core: &Arc<Core>) -> Result<usize, S3Error> {
    let (mut aborted, mut marker) = (0, (None, None));
    loop {
        let request = core
            .client
            .list_multipart_uploads()
            .bucket(core.bucket())
            .prefix(core.config.object_prefix())
            .set_key_marker(marker.0.take())
            .set_upload_id_marker(marker.1.take());
        let page = Box::pin(core.call((Op::ListUploads, Asker::SERVER), request.send())).await?;
        for upload in page.uploads() {
            let (Some(name), Some(id)) = (upload.key(), upload.upload_id()) else {
                continue;
            };
            if is_old(upload.initiated().map(|time| time.secs())) {
                abort_once(core, Asker::SERVER, (name, id)).await?;
                aborted += 1;
            }
        }
        marker = (page.next_key_marker, page.next_upload_id_marker);
        if page.is_truncated != Some(true) || marker.0.is_none() {
            return Ok(aborted);
        }
    }
}

/// Whether something was begun longer ago than [`MAX_UPLOAD_AGE`], `began` in seconds since 1970.
fn is_old(began: Option<i64>) -> bool {
    let began = began.and_then(|seconds| u64::try_from(seconds).ok());
    let began = began.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    let age = began.and_then(|began| SystemTime::now().duration_since(began).ok());
    age.is_some_and(|age| age > MAX_UPLOAD_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_yesterday_are_old() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("clock")
            .as_secs() as i64;
        assert!(is_old(Some(now - 25 * 3600)));
        assert!(!is_old(Some(now - 23 * 3600)));
        assert!(!is_old(Some(now + 3600)));
        assert!(!is_old(Some(-5)));
        assert!(!is_old(None));
    }
}

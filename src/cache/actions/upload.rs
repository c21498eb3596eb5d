//! One upload: its note, its bytes, what happens on it at this moment, and how long the right to go on lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::UploadId;
use super::upload_note::UploadNote;
use crate::store::blocks::Blocks;
use crate::store::journal::millis;

/// Another job may take the place of an upload without traffic for this long.
const UPLOAD_LEASE: Duration = Duration::from_secs(2 * 60);

/// The same token may take the place of an upload that saw no request for this long: its client did not get the
/// answer of the first reservation. BuildKit counts on a reservation that was left behind being refused for more than
/// four seconds, and shares a token between exports that run side by side.
const REPEAT_AFTER: Duration = Duration::from_secs(6);

/// One reservation and its bytes.
#[derive(Debug)]
pub(super) struct ActionsUpload {
    pub(super) id: UploadId,
    pub(super) note: UploadNote,
    pub(super) blocks: Blocks,
    /// Requests that send something.
    requests: AtomicUsize,
    commits: AtomicUsize,
    began: Instant,
    /// When the last request ended, in milliseconds after `began`.
    last_request: AtomicU64,
    /// In milliseconds since 1970.
    ends: AtomicU64,
    /// The end of [`super::ActionsSettings::upload_age`]: nothing extends it.
    latest: SystemTime,
}

/// Something that happens on an upload, until it is dropped.
#[derive(Debug)]
pub(super) struct Activity {
    upload: Arc<ActionsUpload>,
    kind: ActivityKind,
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum ActivityKind {
    /// A request sends bytes or a list of blocks.
    Request,
    /// The upload becomes an entry.
    Commit,
}

impl ActionsUpload {
    /// `ends`: nothing happens on it after this moment, unless [`ActionsUpload::extend`] says so. `age`: nothing happens
    /// on it for longer, whatever is said.
    pub(super) fn new(
        id: UploadId,
        note: UploadNote,
        blocks: Blocks,
        ends: SystemTime,
        age: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            latest: note.began + age,
            note,
            blocks,
            requests: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            began: Instant::now(),
            last_request: AtomicU64::new(0),
            ends: millis(ends).into(),
        })
    }

    /// Something begins to happen.
    pub(super) fn begin(self: &Arc<Self>, kind: ActivityKind) -> Activity {
        self.running(kind).fetch_add(1, Ordering::AcqRel);
        Activity {
            upload: Arc::clone(self),
            kind,
        }
    }

    fn running(&self, kind: ActivityKind) -> &AtomicUsize {
        match kind {
            ActivityKind::Request => &self.requests,
            ActivityKind::Commit => &self.commits,
        }
    }

    /// Whether it becomes an entry at this moment, or waits to.
    pub(super) fn is_committing(&self) -> bool {
        self.commits.load(Ordering::Acquire) > 0
    }

    /// When bytes passed last, or a request ended; now while it is being committed.
    pub(super) fn last_traffic(&self) -> Instant {
        if self.is_committing() {
            return Instant::now();
        }
        let ended = self.began + Duration::from_millis(self.last_request.load(Ordering::Acquire));
        self.blocks.last_traffic().max(ended)
    }

    /// How long nothing has happened.
    pub(super) fn idle(&self) -> Duration {
        self.last_traffic().elapsed()
    }

    /// When the right to go on with it ends.
    pub(super) fn ends(&self) -> SystemTime {
        let ends = UNIX_EPOCH + Duration::from_millis(self.ends.load(Ordering::Relaxed));
        ends.min(self.latest)
    }

    /// Whether it is older than any upload may be.
    pub(super) fn is_too_old(&self) -> bool {
        self.latest <= SystemTime::now()
    }

    /// A caller with a good token goes on with it: the right lasts until `ends` at least.
    pub(super) fn extend(&self, ends: SystemTime) {
        self.ends.fetch_max(millis(ends), Ordering::Relaxed);
    }

    /// Whether the right to go on with it has ended, whatever traffic there is.
    pub(super) fn is_overdue(&self) -> bool {
        self.ends() <= SystemTime::now()
    }

    /// Whether a caller with this token may begin the entry anew.
    pub(super) fn gives_way_to(&self, holder: &[u8; 32]) -> bool {
        if self.is_committing() {
            return false;
        }
        let sends = self.requests.load(Ordering::Acquire) > 0;
        match self.note.holder == *holder {
            true => !sends && self.idle() >= REPEAT_AFTER,
            false => self.idle() >= UPLOAD_LEASE || self.is_overdue(),
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let upload = &self.upload;
        let since = upload.began.elapsed().as_millis() as u64;
        upload.last_request.fetch_max(since, Ordering::AcqRel);
        upload.running(self.kind).fetch_sub(1, Ordering::AcqRel);
    }
}

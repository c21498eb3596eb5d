//! Writes on a volume that is full although the account has room: others share it, or its size was overestimated.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Budget, Error};
use crate::sys;

/// How often a write is tried again after entries made way. Others may take what was freed.
const MAX_ATTEMPTS: usize = 16;
/// The longest time in which a write is tried again.
const MAX_RETRY_TIME: Duration = Duration::from_secs(60);
/// Freed beyond the need.
const SPARE_BYTES: u64 = 1 << 20;
/// The longest wait for room that unlinked files hold. A reader that hardly reads is ended within it.
const MAX_HELD_WAIT: Duration = Duration::from_secs(20);
/// How long a volume may take to show what was freed: some give room back with their next commit.
const MAX_SHOW_WAIT: Duration = Duration::from_secs(2);
const SHOW_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The attempts of one write.
#[derive(Debug, Default)]
pub(crate) struct FullVolumeRetry {
    attempts: usize,
    began: Option<Instant>,
}

impl FullVolumeRetry {
    /// Whether to try again a write of `length` bytes that ended with `error`: the volume is full, and entries or
    /// unlinked files made way.
    pub(crate) async fn makes_way(&mut self, budget: &Arc<Budget>, error: &Error, length: u64) -> bool {
        let began = *self.began.get_or_insert_with(Instant::now);
        self.attempts += 1;
        self.attempts <= MAX_ATTEMPTS
            && began.elapsed() < MAX_RETRY_TIME
            && matches!(error, Error::NoSpace { .. })
            && (budget.make_room(length + SPARE_BYTES).await > 0 || budget.wait_for_held().await)
    }
}

/// An error of a write of `length` bytes.
pub(crate) fn write_error(operation: &'static str, error: io::Error, length: u64) -> Error {
    match Error::io(operation, error) {
        Error::NoSpace { reason, .. } => Error::NoSpace {
            needed: length,
            reason,
        },
        other => other,
    }
}

/// A write that waits for what unlinked files hold.
struct Stranded<'a>(&'a Arc<Budget>);

impl<'a> Stranded<'a> {
    fn new(budget: &'a Arc<Budget>) -> Self {
        let mut state = budget.lock();
        state.stranded += 1;
        budget.note_pressure(&mut state);
        drop(state);
        budget.work.notify_one();
        Self(budget)
    }
}

impl Drop for Stranded<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stranded -= 1;
        self.0.note_pressure(&mut state);
    }
}

impl Budget {
    /// Asks the evictor to free `bytes` although the account has room. Answers how many bytes were freed.
    async fn make_room(&self, bytes: u64) -> u64 {
        let (answer, freed) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.closed {
                return 0;
            }
            state.demands.push((bytes, answer));
        }
        self.work.notify_one();
        freed.await.unwrap_or(0)
    }

    /// Waits until an unlinked file is closed. `false` if none was, for a while.
    async fn wait_for_held(self: &Arc<Self>) -> bool {
        let mut let_go = std::pin::pin!(self.let_go.notified());
        let_go.as_mut().enable();
        if self.held() == 0 {
            return false;
        }
        let _stranded = Stranded::new(self);
        tokio::time::timeout(MAX_HELD_WAIT, let_go).await.is_ok()
    }
}

/// What a volume had free before entries were evicted.
pub(crate) struct VolumeLook {
    path: PathBuf,
    unused: u64,
}

impl VolumeLook {
    pub(crate) async fn at(path: &Path) -> Self {
        let path = path.to_owned();
        let unused = unused(&path).await.unwrap_or(0);
        Self { path, unused }
    }

    /// Entries of `bytes` bytes were evicted: waits until the volume shows them, a moment at most. The last close of a
    /// large file takes its time, too.
    pub(crate) async fn wait_until_shown(&self, bytes: u64) {
        let wanted = self.unused.saturating_add(bytes);
        let until = Instant::now() + MAX_SHOW_WAIT;
        while bytes > 0 && Instant::now() < until && unused(&self.path).await.is_some_and(|now| now < wanted)
        {
            crate::tasks::pause(SHOW_POLL_INTERVAL).await;
        }
    }
}

async fn unused(path: &Path) -> Option<u64> {
    let path = path.to_owned();
    sys::run_blocking(move || sys::volume_unused(&path))
        .await
        .ok()
        .flatten()
}

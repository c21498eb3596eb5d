//! What a remote tier has of a body that was not whole yet.

use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use super::remote::RemoteParts;

/// Ends with the parts that the remote tier has, or with nothing after a failure.
pub(crate) type EarlyUploadTask = JoinHandle<Option<Box<dyn RemoteParts>>>;

/// Parts of a body that the remote tier has, or is about to get. Dropped, nothing of them stays.
#[derive(Debug)]
pub struct UploadedParts {
    task: EarlyUploadTask,
    /// Ends the task, which drops the parts.
    _stop: DropGuard,
}

impl UploadedParts {
    /// `task` begins no further part, and ends at once when `stop` is dropped.
    pub(crate) fn new(task: EarlyUploadTask, stop: DropGuard) -> Self {
        Self { task, _stop: stop }
    }

    /// Waits for the parts that are under way.
    pub(crate) async fn arrived(mut self) -> Option<Box<dyn RemoteParts>> {
        (&mut self.task).await.ok().flatten()
    }
}

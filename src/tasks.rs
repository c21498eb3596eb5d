//! Every background task of the server, tied to one shutdown.
//!
//! Invariant: no task is spawned outside of [`Tasks`] (`clippy.toml` refuses `tokio::spawn`), so a
//! shutdown can wait for all of them.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Threads of the blocking pool, which wait for the disk. As many reads and writes keep any volume busy; each thread more
/// takes memory for its stack and for what the allocator keeps for it.
pub const MAX_BLOCKING_THREADS: usize = 128;

/// Starts tasks, tells them to stop, and waits for them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// An empty set of tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that [`Tasks::finish`] waits for. A task that runs for ever must watch
    /// [`Tasks::stopping`].
    #[expect(clippy::disallowed_methods, reason = "the one place where tasks start")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tracker.track_future(task))
    }

    /// Runs blocking work on the blocking pool; [`Tasks::finish`] waits for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where blocking work starts"
    )]
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let token = self.tracker.token();
        tokio::task::spawn_blocking(move || {
            let _token = token;
            work()
        })
    }

    /// [`Tasks::finish`] waits until this is dropped. `None` after [`Tasks::stop`]: for work that must not
    /// happen once `finish` has returned.
    pub fn enter(&self) -> Option<TaskTrackerToken> {
        // The token first: `finish` waits for a caller that finds no stop.
        let token = self.tracker.token();
        (!self.stopping.is_cancelled()).then_some(token)
    }

    /// Resolves when the server is asked to stop. Cheap to clone and to poll.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Tells every task to stop and waits until the last one has ended.
    pub async fn finish(&self) {
        self.stop();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Waits for a time. Only where no event can be waited for: a limit that another program has set, or a peer that
/// may never come back.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that waits for time alone"
)]
pub async fn pause(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}

/// hyper's own tasks are tracked, too.
impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.spawn(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn finish_waits_for_who_has_entered_and_nobody_enters_later() {
        let tasks = Tasks::new();
        let pass = tasks.enter().expect("nobody has told it to stop");
        let mut finish = Box::pin(tasks.finish());
        assert!(futures_util::poll!(&mut finish).is_pending());
        assert!(tasks.enter().is_none());
        drop(pass);
        finish.await;
    }

    #[tokio::test]
    async fn finish_waits_for_blocking_work_whose_handle_was_dropped() {
        let tasks = Tasks::new();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        drop(tasks.spawn_blocking(move || {
            gate.recv().ok();
            seen.store(true, Ordering::SeqCst);
        }));
        release.send(()).ok();
        tasks.finish().await;
        assert!(done.load(Ordering::SeqCst));
    }
}

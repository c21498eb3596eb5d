//! Gives up what nobody goes on with.

use std::time::Duration;

use super::Actions;

/// How often it is looked, at most.
const LOOK: Duration = Duration::from_secs(15);

impl Actions {
    /// Until the server stops.
    pub(super) async fn give_up_idle(self) {
        let stopping = self.0.tasks.stopping();
        let mut looks = tokio::time::interval(LOOK.min(self.0.settings.upload_timeout));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = looks.tick() => {}
            }
            for upload in self.0.uploads.idle(self.0.settings.upload_timeout) {
                // Not while it is being committed.
                let _change = self.0.changes.lock(upload.note.name.digest()).await;
                if upload.blocks.last_traffic().elapsed() >= self.0.settings.upload_timeout {
                    tracing::info!(namespace = %upload.note.label, "an upload without traffic is given up");
                    self.give_up(&upload).await;
                }
            }
        }
    }
}

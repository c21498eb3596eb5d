//! Gives up uploads without traffic.

use std::time::Duration;

use super::Actions;

/// Longest time between two rounds.
const MAX_INTERVAL: Duration = Duration::from_secs(15);

impl Actions {
    /// Runs until the server stops.
    pub(super) async fn give_up_idle(self) {
        let stopping = self.0.tasks.stopping();
        let mut rounds = tokio::time::interval(MAX_INTERVAL.min(self.0.settings.upload_timeout));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = rounds.tick() => {}
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

//! Until when the log was read, kept in the directory: what a server missed while it was away it reads at its start.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::NoteLog;
use crate::store::journal::millis;
use crate::sys;
use crate::tasks::pause;

/// Time between two writes.
const KEEP_INTERVAL: Duration = Duration::from_secs(30);

impl NoteLog {
    /// Blocking: what [`NoteLog::keep_read`] kept; `None` without it.
    pub fn load_read(file: &Path) -> Option<SystemTime> {
        let millis = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }

    /// Keeps in `file` until when the log was read, until the tasks stop.
    pub fn keep_read(&self, file: PathBuf) {
        let (this, tasks) = (self.clone(), self.0.tasks.clone());
        let stopping = tasks.stopping();
        let keeping = async move {
            loop {
                pause(KEEP_INTERVAL).await;
                let Some(until) = this.read_until() else {
                    continue;
                };
                let (file, text) = (file.clone(), format!("{}\n", millis(until)));
                let write = move || sys::replace_file(&file, text.as_bytes(), false);
                let written = this.0.tasks.spawn_blocking(write).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(%error, "the file server/notes-read cannot be written; check the disk");
                }
            }
        };
        drop(tasks.spawn(async move { stopping.run_until_cancelled(keeping).await }));
    }
}

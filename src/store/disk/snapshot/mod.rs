//! The snapshot of the index: entries, sizes and the order of use survive a restart.
//!
//! It is a log of batches ([`mod@format`]). Once a minute the entries that were added, used or removed since are
//! appended, so what is written follows what changed. When half of it is outdated it is written anew, with one row
//! for each entry. A kill at any moment leaves a torn last batch at worst, which the next start cuts off.
//!
//! It is only a start: the scan puts right what it does not know. A start reads it in slices ([`load`]), and what
//! is not read soon is read in the background while requests are answered.

pub(super) mod format;
pub(super) mod former;
pub(super) mod load;
mod tenants;
mod write;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

pub(super) use write::run;

use self::write::SnapshotWriter;

/// Why the snapshot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SnapshotCause {
    /// It is time.
    Interval,
    /// The tier closes.
    Close {
        /// The index is the whole truth about the directory.
        whole: bool,
    },
}

/// The file, and whoever writes it.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    path: PathBuf,
    /// `None` while the file is read or written.
    writer: Mutex<Option<Box<SnapshotWriter>>>,
    /// The file cannot be read or written in this run.
    lost: AtomicBool,
}

impl Snapshot {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            writer: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    fn take_writer(&self) -> Option<Box<SnapshotWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Nothing is kept in this run. The next start scans.
    fn lose(&self, error: &std::io::Error) {
        tracing::warn!(%error, "the snapshot of the cache index cannot be used; the next start scans");
        self.lost.store(true, Ordering::Relaxed);
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn give_back(&self, writer: Box<SnapshotWriter>) {
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
    }
}

//! Whether the machine lost its power while the directory was in use.
//!
//! ```text
//! boot        the id of the boot in which the directory was used last
//! running     or stopped
//! generation  copies up to this one may be older than what was answered; 0 if none are
//! ```
//!
//! With `durability: relaxed` a power loss may bring back the former version of an entry. Nothing here can tell which
//! entries: whoever has another copy has to compare. That stays so over further starts, until an entry is replaced.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// The note in the directory. All methods block.
#[derive(Debug)]
pub(super) struct BootNote {
    path: PathBuf,
    boot: String,
    suspect: AtomicU64,
}

impl BootNote {
    /// Reads the note of the last run and writes that of this one. `now` is the generation of this moment, `durable`
    /// says that answered changes survive a power loss.
    pub(super) fn begin(path: PathBuf, boot: Option<String>, now: u64, durable: bool) -> io::Result<Self> {
        let left = sys::if_exists(fs::read_to_string(&path)).unwrap_or_default();
        let left = left.unwrap_or_default();
        let mut lines = left.lines();
        let (last_boot, state) = (lines.next().unwrap_or_default(), lines.next());
        let known = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
        let boot = boot.unwrap_or_default();
        let other_boot = !boot.is_empty() && !last_boot.is_empty() && boot != last_boot;
        let suspect = match state {
            Some("running") if other_boot && !durable => now,
            _ => known,
        };
        if suspect > known {
            tracing::warn!(
                "the machine has stopped without this server: what is on the disk may be older than what was \
                 answered; it is compared with the shared tier, if there is one, before it is served"
            );
        }
        let note = Self {
            path,
            boot,
            suspect: AtomicU64::new(suspect),
        };
        note.write("running")?;
        Ok(note)
    }

    /// The directory is about to be given free.
    pub(super) fn stopped(&self) -> io::Result<()> {
        self.write("stopped")
    }

    /// Copies up to this generation may be older than what was answered.
    pub(super) fn suspect(&self) -> u64 {
        self.suspect.load(Ordering::Acquire)
    }

    /// Copies up to this generation are suspect from now on, also after a restart.
    pub(super) fn suspect_up_to(&self, generation: u64) -> io::Result<()> {
        self.suspect.fetch_max(generation, Ordering::AcqRel);
        self.write("running")
    }

    /// Synced, whatever is configured: it is what tells of a power loss.
    fn write(&self, state: &str) -> io::Result<()> {
        let text = format!("{}\n{state}\n{}\n", self.boot, self.suspect());
        sys::replace_file(&self.path, text.as_bytes(), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_boot_without_a_stop_makes_copies_suspect() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("boot");
        let begin = |boot: Option<&str>, now, durable| {
            BootNote::begin(path.clone(), boot.map(str::to_owned), now, durable).expect("a note")
        };
        assert_eq!(begin(Some("one"), 10, false).suspect(), 0);
        // kill -9: the same boot.
        assert_eq!(begin(Some("one"), 20, false).suspect(), 0);
        begin(Some("one"), 30, false).stopped().expect("stopped");
        assert_eq!(begin(Some("two"), 40, false).suspect(), 0);
        assert_eq!(begin(Some("three"), 50, true).suspect(), 0);
        assert_eq!(begin(None, 60, false).suspect(), 0);
        assert_eq!(begin(Some("four"), 70, false).suspect(), 0);
        assert_eq!(begin(Some("five"), 80, false).suspect(), 80);
        // Until they are replaced.
        begin(Some("five"), 90, false).stopped().expect("stopped");
        assert_eq!(begin(Some("six"), 100, false).suspect(), 80);
    }
}

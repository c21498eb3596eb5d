//! Marks: what must survive a crash although it is not in the entries themselves.
//!
//! A composition of tiers sets a mark before a change that another tier has to hear of, and removes it
//! when that has happened. A mark is an empty file in one folder, named by the digest of the entry; setting
//! and clearing it is one call to the operating system each. With `durability: fsync` the folder is synced.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use crate::named::named_enum;
use crate::store::Digest;
use crate::sys;

named_enum! {
    /// What a mark says about the entry under its digest. Its name ends the name of the file: never change one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Mark {
        /// The remote tier does not have the version that is on the disk.
        Upload = "upload",
        /// The remote tier may have another version than the disk.
        Doubt = "doubt",
        /// It was deleted here, and the remote tier has not heard of it.
        Deleted = "deleted",
    }
}

/// A mark of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMark {
    /// Which entry.
    pub digest: Digest,
    /// What about it.
    pub mark: Mark,
    /// When it was set.
    pub since: SystemTime,
    /// What was set with it.
    pub note: Vec<u8>,
}

/// After so many new names the folder is measured again.
const MEASURE_INTERVAL: usize = 64;

/// The folder of marks. All methods block.
#[derive(Debug)]
pub(super) struct Marks {
    path: PathBuf,
    sync: bool,
    made: AtomicUsize,
    bytes: AtomicU64,
}

impl Marks {
    /// `sync`: whether a mark must survive a power loss.
    pub(super) fn new(path: PathBuf, sync: bool) -> Self {
        Self {
            bytes: sys::path_block_bytes(&path).into(),
            path,
            sync,
            made: AtomicUsize::new(0),
        }
    }

    /// The marks of earlier runs. Other files in the folder are left alone.
    pub(super) fn load(&self) -> io::Result<Vec<LeftMark>> {
        let mut left = Vec::new();
        for file in sys::if_exists(fs::read_dir(&self.path))?.into_iter().flatten() {
            let file = file?;
            let Some((digest, mark)) = file.file_name().to_str().and_then(parse) else {
                continue;
            };
            let since = file.metadata().and_then(|metadata| metadata.modified())?;
            let note = fs::read(file.path())?;
            left.push(LeftMark {
                digest,
                mark,
                since,
                note,
            });
        }
        left.sort_unstable_by_key(|left| left.since);
        Ok(left)
    }

    /// Sets a mark with a note of a few KiB; answers how many bytes more are in use.
    pub(super) fn set(&self, digest: &Digest, mark: Mark, note: &[u8]) -> io::Result<i64> {
        let path = self.file(digest, mark);
        let before = sys::path_block_bytes(&path);
        if sys::if_exists(fs::write(&path, note))?.is_none() {
            fs::create_dir_all(&self.path)?;
            fs::write(&path, note)?;
        }
        self.sync(&path)?;
        self.sync(&self.path)?;
        Ok(sys::path_block_bytes(&path) as i64 - before as i64 + self.grown())
    }

    /// Removes a mark; it is no error if it is not set. Answers how many bytes fewer are in use.
    pub(super) fn clear(&self, digest: &Digest, mark: Mark) -> io::Result<i64> {
        let path = self.file(digest, mark);
        let bytes = sys::path_block_bytes(&path);
        if sys::if_exists(fs::remove_file(path))?.is_none() {
            return Ok(0);
        }
        self.sync(&self.path)?;
        Ok(bytes as i64)
    }

    /// What the folder itself has grown, looked at from time to time.
    fn grown(&self) -> i64 {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        if !made.is_multiple_of(MEASURE_INTERVAL) {
            return 0;
        }
        let now = sys::path_block_bytes(&self.path);
        now as i64 - self.bytes.swap(now, Ordering::Relaxed) as i64
    }

    fn file(&self, digest: &Digest, mark: Mark) -> PathBuf {
        self.path.join(format!("{digest}.{}", mark.as_str()))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        match self.sync {
            true => File::open(path)?.sync_all(),
            false => Ok(()),
        }
    }
}

fn parse(name: &str) -> Option<(Digest, Mark)> {
    let (digest, extension) = name.split_once('.')?;
    let digest = Digest::from_hex(digest)?;
    let mut all = Mark::ALL.iter().copied();
    Some((digest, all.find(|mark| mark.as_str() == extension)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_again() {
        let dir = tempfile::tempdir().expect("folder");
        let marks = Marks::new(dir.path().join("marks"), true);
        assert_eq!(marks.load().expect("none").len(), 0);
        for (nth, mark) in Mark::ALL.iter().copied().enumerate() {
            marks.set(&Digest::new([nth as u8; 32]), mark, b"").expect("set");
            marks
                .set(&Digest::new([nth as u8; 32]), mark, b"note")
                .expect("set again");
        }
        fs::write(dir.path().join("marks/other"), "").expect("a foreign file");
        marks.clear(&Digest::new([1; 32]), Mark::Doubt).expect("clear");
        marks
            .clear(&Digest::new([1; 32]), Mark::Doubt)
            .expect("clear again");
        let left = marks.load().expect("marks");
        assert!(left.iter().all(|left| left.note == b"note"));
        let mut found: Vec<_> = left.iter().map(|left| (left.digest, left.mark)).collect();
        found.sort_unstable_by_key(|(digest, _)| *digest);
        assert_eq!(
            found,
            [
                (Digest::new([0; 32]), Mark::Upload),
                (Digest::new([2; 32]), Mark::Deleted)
            ]
        );
    }
}

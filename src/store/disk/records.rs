//! Records of keys: what must survive a crash although it is not in the entries themselves.
//!
//! A composition of tiers writes the record of a key before a step that another tier has to hear of, and removes it
//! when both tiers agree. There is one file for a key, named by the digest of the entry. It is written aside and takes
//! the place of the former one in one step, so a crash leaves one of the two, whole. What is in it is not known here.
//! With `durability: fsync` the file and its folder are synced.
//!
//! Up to version 0.1.0 there were several *marks* for a key instead, told apart by the ends of their names.

use std::fs::{self, DirEntry, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use crate::named::named_enum;
use crate::store::Digest;
use crate::store::budget::whole_blocks;
use crate::sys;

named_enum! {
    /// What a mark of version 0.1.0 says about the entry under its digest.
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

/// What an earlier run left about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftRecord {
    /// Which entry.
    pub digest: Digest,
    /// When it was written.
    pub since: SystemTime,
    /// `None`: a record. Otherwise a mark of an older version.
    pub mark: Option<Mark>,
    /// What is in the file.
    pub content: Vec<u8>,
}

/// The end of the name of a record.
const RECORD: &str = "state";
/// After so many new names the folder is measured again.
const MEASURE_INTERVAL: usize = 64;

/// The folder of records. All methods block.
#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    /// Where a record is written before it gets its name: a folder of the same volume that is emptied at the start.
    aside: PathBuf,
    sync: bool,
    made: AtomicUsize,
    folder_bytes: AtomicU64,
}

/// How the bytes in use have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordUsage {
    /// What the new file takes.
    pub(super) written: u64,
    /// What is in use more beside it; less if it is negative.
    pub(super) grown: i64,
}

impl Records {
    /// `sync`: whether a record must survive a power loss.
    pub(super) fn new(path: PathBuf, aside: PathBuf, sync: bool) -> Self {
        Self {
            folder_bytes: sys::path_block_bytes(&path).into(),
            path,
            aside,
            sync,
            made: AtomicUsize::new(0),
        }
    }

    /// The digests that have a record or a mark, and the bytes that the files take. The folder itself is not among
    /// them. Other files in it are left alone, and counted.
    pub(super) fn survey(&self) -> io::Result<(Vec<Digest>, u64)> {
        let (mut digests, mut bytes) = (Vec::new(), 0);
        for file in self.files()? {
            let file = file?;
            let Some(metadata) = sys::if_exists(file.metadata())? else {
                continue;
            };
            bytes += sys::block_bytes(&metadata);
            digests.extend(parse(&file).map(|(digest, _)| digest));
        }
        Ok((digests, bytes))
    }

    /// What earlier runs left, oldest first.
    pub(super) fn load(&self) -> io::Result<Vec<LeftRecord>> {
        let mut left = Vec::new();
        for file in self.files()? {
            let file = file?;
            let Some((digest, mark)) = parse(&file) else {
                continue;
            };
            left.push(LeftRecord {
                digest,
                mark,
                since: file.metadata()?.modified()?,
                content: fs::read(file.path())?,
            });
        }
        left.sort_by_key(|left| left.since);
        Ok(left)
    }

    fn files(&self) -> io::Result<impl Iterator<Item = io::Result<DirEntry>> + use<>> {
        Ok(sys::if_exists(fs::read_dir(&self.path))?.into_iter().flatten())
    }

    /// Writes the record of a key, in place of the former one.
    pub(super) fn set(&self, digest: &Digest, content: &[u8]) -> io::Result<RecordUsage> {
        let path = self.file(digest);
        let aside = self.aside.join(format!("{digest}.{RECORD}"));
        let before = sys::path_block_bytes(&path);
        let placed = self.write(&aside, content).and_then(|written| {
            if sys::if_exists(fs::rename(&aside, &path))?.is_none() {
                sys::create_private_dir(&self.path)?;
                fs::rename(&aside, &path)?;
            }
            Ok(written)
        });
        let Ok(written) = placed else {
            let _gone = fs::remove_file(&aside);
            return placed.map(|written| RecordUsage { written, grown: 0 });
        };
        self.sync_folder()?;
        let grown = self.grown() - before as i64;
        Ok(RecordUsage { written, grown })
    }

    fn write(&self, aside: &Path, content: &[u8]) -> io::Result<u64> {
        let mut file = match sys::if_exists(File::create(aside))? {
            Some(file) => file,
            None => {
                // A cleaner of temporary files has removed the empty folder.
                sys::create_private_dir(&self.aside)?;
                File::create(aside)?
            }
        };
        file.write_all(content)?;
        if self.sync {
            file.sync_all()?;
        }
        // A volume may hand out the blocks later than it counts them.
        let written = sys::block_bytes(&file.metadata()?);
        Ok(written.max(whole_blocks(content.len() as u64)))
    }

    /// Removes the record of a key; it is no error if there is none. Answers how many bytes fewer are in use.
    pub(super) fn clear(&self, digest: &Digest) -> io::Result<i64> {
        self.remove(&self.file(digest))
    }

    /// Removes a mark of an older version.
    pub(super) fn clear_mark(&self, digest: &Digest, mark: Mark) -> io::Result<i64> {
        self.remove(&self.path.join(format!("{digest}.{}", mark.as_str())))
    }

    fn remove(&self, path: &Path) -> io::Result<i64> {
        let bytes = sys::path_block_bytes(path);
        // A volume that is read-only now refuses also to remove what is not there.
        if bytes == 0 && sys::if_exists(fs::symlink_metadata(path))?.is_none() {
            return Ok(0);
        }
        if sys::if_exists(fs::remove_file(path))?.is_none() {
            return Ok(0);
        }
        self.sync_folder()?;
        Ok(bytes as i64)
    }

    /// What the folder itself has grown, looked at from time to time.
    fn grown(&self) -> i64 {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        if !made.is_multiple_of(MEASURE_INTERVAL) {
            return 0;
        }
        let now = sys::path_block_bytes(&self.path);
        now as i64 - self.folder_bytes.swap(now, Ordering::Relaxed) as i64
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.path.join(format!("{digest}.{RECORD}"))
    }

    fn sync_folder(&self) -> io::Result<()> {
        match self.sync {
            true => File::open(&self.path)?.sync_all(),
            false => Ok(()),
        }
    }
}

/// The digest in a name, and which mark it is; `None` for a record.
fn parse(file: &DirEntry) -> Option<(Digest, Option<Mark>)> {
    let name = file.file_name();
    let (digest, end) = name.to_str()?.split_once('.')?;
    let digest = Digest::from_hex(digest)?;
    if end == RECORD {
        return Some((digest, None));
    }
    let mut all = Mark::ALL.iter().copied();
    Some((digest, Some(all.find(|mark| mark.as_str() == end)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(dir: &Path, sync: bool) -> Records {
        fs::create_dir_all(dir.join("tmp")).expect("folder");
        Records::new(dir.join("marks"), dir.join("tmp"), sync)
    }

    #[test]
    fn records_are_found_again_and_counted() {
        let dir = tempfile::tempdir().expect("folder");
        for sync in [false, true] {
            let records = records(&dir.path().join(sync.to_string()), sync);
            assert_eq!(records.load().expect("none").len(), 0);
            let mut used = 0;
            for nth in 0..3 {
                let digest = Digest::new([nth; 32]);
                for content in [&[7; 9000][..], b"second"] {
                    let usage = records.set(&digest, content).expect("set");
                    used += usage.written as i64 + usage.grown;
                }
            }
            used -= records.clear(&Digest::new([1; 32])).expect("clear");
            used -= records.clear(&Digest::new([1; 32])).expect("clear again");
            let left = records.load().expect("records");
            assert!(
                left.iter()
                    .all(|left| left.content == b"second" && left.mark.is_none())
            );
            let (digests, bytes) = records.survey().expect("survey");
            assert_eq!((left.len(), digests.len()), (2, 2));
            assert_eq!(bytes + records.folder_bytes.load(Ordering::Relaxed), used as u64);
            assert_eq!(fs::read_dir(&records.aside).expect("folder").count(), 0);
        }
    }

    #[test]
    fn a_record_that_cannot_be_written_leaves_the_former_one() {
        let dir = tempfile::tempdir().expect("folder");
        let records = records(dir.path(), false);
        let digest = Digest::new([1; 32]);
        records.set(&digest, b"former").expect("set");
        fs::remove_dir(&records.aside).expect("folder");
        fs::write(&records.aside, "").expect("a file in its place");
        records.set(&digest, b"next").expect_err("nowhere to write");
        assert_eq!(records.load().expect("records")[0].content, b"former");
    }

    #[test]
    fn marks_of_an_older_version_are_told_apart() {
        let dir = tempfile::tempdir().expect("folder");
        let records = records(dir.path(), false);
        fs::create_dir(&records.path).expect("folder");
        let digest = Digest::new([1; 32]);
        for name in ["upload", "doubt", "deleted", "other"] {
            fs::write(records.path.join(format!("{digest}.{name}")), "note").expect("a file");
        }
        let left = records.load().expect("marks");
        assert_eq!(left.len(), 3);
        assert!(
            left.iter()
                .all(|left| left.mark.is_some() && left.content == b"note")
        );
        for mark in Mark::ALL.iter().copied() {
            records.clear_mark(&digest, mark).expect("clear");
        }
        assert!(records.load().expect("none").is_empty());
    }
}

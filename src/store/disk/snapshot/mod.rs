//! The snapshot of the index: entries, sizes and the order of use survive a restart.
//!
//! ```text
//! magic                    8 bytes
//! clean                    1 byte: 1 if nothing was committed after it; not in the checksum
//! zero                     7 bytes
//! records, folders         8 bytes each: how many follow
//! record                   digest 32, generation 8, stamp 8, blocks 4
//! folder                   shard 4, bytes 4: what the folder itself takes
//! CRC-64/NVME              8 bytes, of all from the number of records on
//! ```
//!
//! It is only a start: the scan puts right what it does not know. One that cannot be read is ignored.

mod write;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) use write::run;

use super::index::FileRecord;
use super::layout::SHARD_COUNT;
use crate::store::Digest;
use crate::store::little_endian::number;
use crate::store::spool::crc;
use crate::sys;

pub(super) const MAGIC: &[u8; 8] = b"chachaI1";
/// Offset of the mark of a clean stop.
const CLEAN_OFFSET: u64 = 8;
const HEADER_BYTES: usize = 32;
const RECORD_BYTES: usize = 52;
const FOLDER_BYTES: usize = 8;

/// The state of the file.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The file says that nothing was committed after it.
    clean: AtomicBool,
    path: std::path::PathBuf,
    /// What the file takes on the volume.
    bytes: AtomicU64,
}

/// What a snapshot says.
#[derive(Debug, Default)]
pub(super) struct LoadedSnapshot {
    pub(super) clean: bool,
    /// Ordered by last use, oldest first.
    pub(super) records: Vec<FileRecord>,
    /// Shard number and bytes of its folder.
    pub(super) folders: Vec<(usize, u64)>,
}

impl Snapshot {
    pub(super) fn new(path: std::path::PathBuf, clean: bool) -> Self {
        let bytes = sys::path_block_bytes(&path);
        Self {
            clean: clean.into(),
            path,
            bytes: bytes.into(),
        }
    }

    /// Blocking: the directory is about to differ from the snapshot.
    pub(super) fn soil(&self) {
        if !self.clean.load(Ordering::Acquire) || !self.clean.swap(false, Ordering::AcqRel) {
            return;
        }
        let soiled = File::options()
            .write(true)
            .open(&self.path)
            .and_then(|file| sys::write_all_vectored_at(&file, &[[0_u8]], CLEAN_OFFSET));
        if let Err(error) = soiled {
            // Without the snapshot the next start scans first, which is as good.
            tracing::warn!(%error, "could not mark the snapshot of the cache index");
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// Blocking: reads a snapshot; `None` if there is none or it is damaged.
pub(super) fn load(path: &Path) -> Option<LoadedSnapshot> {
    let bytes = std::fs::read(path).ok()?;
    let loaded = read(&bytes);
    if loaded.is_none() {
        tracing::warn!(path = %path.display(), "the snapshot of the cache index is damaged; scanning instead");
    }
    loaded
}

/// The content of a snapshot; `None` if it is damaged.
pub(super) fn read(bytes: &[u8]) -> Option<LoadedSnapshot> {
    let (summed, sum) = bytes.split_last_chunk::<8>()?;
    let (header, rest) = summed.split_at_checked(HEADER_BYTES)?;
    if &header[..8] != MAGIC || crc(&summed[16..]) != u64::from_le_bytes(*sum) {
        return None;
    }
    let bytes = |at: usize, each: usize| {
        usize::try_from(number(&header[at..at + 8]))
            .ok()?
            .checked_mul(each)
    };
    let (records, rest) = rest.split_at_checked(bytes(16, RECORD_BYTES)?)?;
    let (folders, _) = rest.split_at_checked(bytes(24, FOLDER_BYTES)?)?;
    let mut records: Vec<_> = records.chunks_exact(RECORD_BYTES).map(decode).collect();
    records.sort_unstable_by_key(|record| record.stamp);
    let folder = |bytes: &[u8]| (number(&bytes[..4]) as usize % SHARD_COUNT, number(&bytes[4..]));
    Some(LoadedSnapshot {
        clean: header[CLEAN_OFFSET as usize] == 1,
        records,
        folders: folders.chunks_exact(FOLDER_BYTES).map(folder).collect(),
    })
}

fn encode(record: &FileRecord, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(record.digest.as_bytes());
    bytes.extend_from_slice(&record.generation.to_le_bytes());
    bytes.extend_from_slice(&record.stamp.to_le_bytes());
    bytes.extend_from_slice(&record.blocks.to_le_bytes());
}

/// `bytes` has the length of a record.
fn decode(bytes: &[u8]) -> FileRecord {
    FileRecord {
        digest: Digest::new(std::array::from_fn(|nth| bytes[nth])),
        generation: number(&bytes[32..40]),
        stamp: number(&bytes[40..48]),
        blocks: u32::try_from(number(&bytes[48..52])).unwrap_or(u32::MAX),
    }
}

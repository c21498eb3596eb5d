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

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crc_fast::{CrcAlgorithm, Digest as Crc};

use super::core::Core;
use super::index::Record;
use super::layout::SHARD_COUNT;
use crate::store::Digest;
use crate::store::budget::whole_blocks;
use crate::store::spool::crc;
use crate::sys;

pub(super) const MAGIC: &[u8; 8] = b"chachaI1";
/// Where the mark of a clean stop is.
const CLEAN: u64 = 8;
const HEADER: usize = 32;
const RECORD: usize = 52;
const FOLDER: usize = 8;
/// Slots that are read under one lock.
const SLICE: usize = 4096;
/// How often a changed index is written.
const PERIOD: Duration = Duration::from_secs(60);

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
pub(super) struct Loaded {
    pub(super) clean: bool,
    /// Ordered by last use, oldest first.
    pub(super) records: Vec<Record>,
    /// Shard number and bytes of its folder.
    pub(super) folders: Vec<(usize, u64)>,
}

impl Snapshot {
    pub(super) fn new(path: std::path::PathBuf, clean: bool) -> Self {
        let bytes = path.metadata().map_or(0, |metadata| sys::block_bytes(&metadata));
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
            .and_then(|file| sys::write_all_vectored_at(&file, &[[0_u8]], CLEAN));
        if let Err(error) = soiled {
            // Without the snapshot the next start scans first, which is as good.
            tracing::warn!(%error, "could not mark the snapshot of the cache index");
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// Blocking: reads a snapshot; `None` if there is none or it is damaged.
pub(super) fn load(path: &Path) -> Option<Loaded> {
    let bytes = std::fs::read(path).ok()?;
    let loaded = read(&bytes);
    if loaded.is_none() {
        tracing::warn!(path = %path.display(), "the snapshot of the cache index is damaged; scanning instead");
    }
    loaded
}

/// The content of a snapshot; `None` if it is damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Loaded> {
    let (summed, sum) = bytes.split_last_chunk::<8>()?;
    let (header, mut rest) = summed.split_at_checked(HEADER)?;
    if &header[..8] != MAGIC || crc(&summed[16..]) != u64::from_le_bytes(*sum) {
        return None;
    }
    let count = |at: usize| usize::try_from(number(&header[at..at + 8])).ok();
    let (records, folders) = (count(16)?, count(24)?);
    let mut loaded = Loaded {
        clean: header[CLEAN as usize] == 1,
        ..Loaded::default()
    };
    for _ in 0..records {
        let (record, more) = rest.split_at_checked(RECORD)?;
        loaded.records.push(decode(record));
        rest = more;
    }
    for _ in 0..folders {
        let (folder, more) = rest.split_at_checked(FOLDER)?;
        let shard = number(&folder[..4]) as usize % SHARD_COUNT;
        loaded.folders.push((shard, number(&folder[4..])));
        rest = more;
    }
    loaded.records.sort_unstable_by_key(|record| record.stamp);
    Some(loaded)
}

/// Writes the index from time to time, until the tier stops.
pub(super) async fn run(core: Arc<Core>) {
    let mut written = core.index(|index| index.changes);
    let mut clock = tokio::time::interval(PERIOD);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    clock.tick().await;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        let changes = core.index(|index| index.changes);
        if changes == written {
            continue;
        }
        let Ok(_pass) = core.enter() else { return };
        let blocking = Arc::clone(&core);
        let hop = core.tasks.spawn_blocking(move || blocking.write_snapshot(false));
        match hop.await {
            Ok(Ok(())) => written = changes,
            Ok(Err(error)) => tracing::warn!(%error, "could not write the snapshot of the cache index"),
            Err(_) => return,
        }
    }
}

impl Core {
    /// Blocking: writes the snapshot beside the former one, and puts it in its place.
    pub(super) fn write_snapshot(&self, clean: bool) -> io::Result<()> {
        // Entries that are added meanwhile: those that do not fit into the reserved room are left to
        // the scan.
        let most = self.index(|index| index.len()) + SLICE;
        let bound = (HEADER + most * RECORD + SHARD_COUNT * FOLDER + 8) as u64;
        let room = loop {
            match self.budget.take(whole_blocks(bound)) {
                Some(room) => break room,
                None if self.evict(bound) > 0 => {}
                None => return Err(io::ErrorKind::StorageFull.into()),
            }
        };
        let path = self.layout.tmp().join("index");
        let written = self.write_records(&path, most, clean).and_then(|()| {
            let bytes = sys::block_bytes(&path.metadata()?);
            std::fs::rename(&path, self.layout.index())?;
            Ok(bytes)
        });
        let bytes = written.inspect_err(|_| _ = std::fs::remove_file(&path))?;
        room.settle(bytes);
        self.budget
            .freed(self.snapshot.bytes.swap(bytes, Ordering::AcqRel));
        self.snapshot.clean.store(clean, Ordering::Release);
        Ok(())
    }

    fn write_records(&self, path: &Path, most: usize, clean: bool) -> io::Result<()> {
        let file = File::create(path)?;
        let mut output = BufWriter::with_capacity(SLICE * RECORD, &file);
        // The numbers are not known yet; the header is written again at the end.
        output.write_all(&[0; HEADER])?;
        let mut sum = Crc::new(CrcAlgorithm::Crc64Nvme);
        let mut records = 0;
        let mut more = true;
        let mut from = 0;
        while more && records < most {
            let mut slice = Vec::with_capacity(SLICE * RECORD);
            more = self.index(|index| index.records(from, SLICE, |record| encode(&record, &mut slice)));
            slice.truncate((most - records) * RECORD);
            records += slice.len() / RECORD;
            from += SLICE;
            sum.update(&slice);
            output.write_all(&slice)?;
        }
        let folders = self.folders();
        sum.update(&folders);
        output.write_all(&folders)?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[CLEAN as usize] = u8::from(clean);
        header[16..24].copy_from_slice(&(records as u64).to_le_bytes());
        header[24..].copy_from_slice(&((folders.len() / FOLDER) as u64).to_le_bytes());
        let mut all = Crc::new(CrcAlgorithm::Crc64Nvme);
        all.update(&header[16..]);
        all.combine(&sum);
        output.write_all(&all.finalize().to_le_bytes())?;
        output.flush()?;
        drop(output);
        sys::write_all_vectored_at(&file, &[header], 0)
    }

    fn folders(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..SHARD_COUNT {
            let folder = self.shards.lock(number).bytes;
            if folder > 0 {
                bytes.extend_from_slice(&(number as u32).to_le_bytes());
                bytes.extend_from_slice(&u32::try_from(folder).unwrap_or(u32::MAX).to_le_bytes());
            }
        }
        bytes
    }
}

fn encode(record: &Record, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(record.digest.as_bytes());
    bytes.extend_from_slice(&record.generation.to_le_bytes());
    bytes.extend_from_slice(&record.stamp.to_le_bytes());
    bytes.extend_from_slice(&record.blocks.to_le_bytes());
}

/// `bytes` has the length of a record.
fn decode(bytes: &[u8]) -> Record {
    Record {
        digest: Digest::new(std::array::from_fn(|nth| bytes[nth])),
        generation: number(&bytes[32..40]),
        stamp: number(&bytes[40..48]),
        blocks: u32::try_from(number(&bytes[48..52])).unwrap_or(u32::MAX),
    }
}

/// Up to eight bytes, little endian.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

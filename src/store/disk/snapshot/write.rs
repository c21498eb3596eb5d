//! Writes the snapshot: from time to time, and when the tier closes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crc_fast::{CrcAlgorithm, Digest as Crc};

use super::{CLEAN_OFFSET, FOLDER_BYTES, HEADER_BYTES, MAGIC, RECORD_BYTES, encode};
use crate::store::budget::whole_blocks;
use crate::store::disk::core::DiskCore;
use crate::store::disk::layout::{SHARD_COUNT, TopName};
use crate::sys;

/// Slots of the index that are read under one lock.
const SLICE_SLOTS: usize = 4096;
/// How often a changed index is written.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);

/// Writes the index from time to time, until the tier stops.
pub(in crate::store::disk) async fn run(core: Arc<DiskCore>) {
    let mut written = core.index(|index| index.changes);
    let mut clock = tokio::time::interval(WRITE_INTERVAL);
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
        match core.blocking(|core| core.write_snapshot(false)).await {
            Ok(Ok(())) => written = changes,
            Ok(Err(error)) => tracing::warn!(%error, "could not write the snapshot of the cache index"),
            Err(_) => return,
        }
    }
}

impl DiskCore {
    /// Blocking: writes the snapshot beside the former one, and puts it in its place.
    pub(in crate::store::disk) fn write_snapshot(&self, clean: bool) -> io::Result<()> {
        // Entries that are added meanwhile: those that do not fit into the reserved room are left to
        // the scan.
        let most = self.index(|index| index.len()) + SLICE_SLOTS;
        let bound = (HEADER_BYTES + most * RECORD_BYTES + SHARD_COUNT * FOLDER_BYTES + 8) as u64;
        let room = loop {
            match self.budget.take(whole_blocks(bound)) {
                Some(room) => break room,
                None if self.evict(bound) > 0 => {}
                None => return Err(io::ErrorKind::StorageFull.into()),
            }
        };
        let path = self.layout.path(TopName::Tmp).join("index");
        let written = self.write_records(&path, most, clean).and_then(|()| {
            let bytes = sys::block_bytes(&path.metadata()?);
            std::fs::rename(&path, self.layout.path(TopName::Index))?;
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
        let mut output = BufWriter::with_capacity(SLICE_SLOTS * RECORD_BYTES, &file);
        // The numbers are not known yet; the header is written again at the end.
        output.write_all(&[0; HEADER_BYTES])?;
        let mut sum = Crc::new(CrcAlgorithm::Crc64Nvme);
        let mut records = 0;
        let mut more = true;
        let mut from = 0;
        while more && records < most {
            let mut slice = Vec::with_capacity(SLICE_SLOTS * RECORD_BYTES);
            more = self.index(|index| index.records(from, SLICE_SLOTS, |record| encode(&record, &mut slice)));
            slice.truncate((most - records) * RECORD_BYTES);
            records += slice.len() / RECORD_BYTES;
            from += SLICE_SLOTS;
            sum.update(&slice);
            output.write_all(&slice)?;
        }
        let folders = self.folders();
        sum.update(&folders);
        output.write_all(&folders)?;
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[CLEAN_OFFSET as usize] = u8::from(clean);
        header[16..24].copy_from_slice(&(records as u64).to_le_bytes());
        header[24..].copy_from_slice(&((folders.len() / FOLDER_BYTES) as u64).to_le_bytes());
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

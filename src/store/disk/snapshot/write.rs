//! Writes the snapshot: what changed, from time to time and when the tier closes; everything, seldom.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::SnapshotCause;
use super::format::{MAX_BATCH_NAME_BYTES, MAX_BATCH_ROWS, ROW_BYTES, SnapshotBatch, clean_mark};
use super::tenants::ToldTenants;
use crate::store::Tenant;
use crate::store::budget::{BLOCK_BYTES, Owner, Reservation, whole_blocks};
use crate::store::disk::core::DiskCore;
use crate::store::disk::index::{FileRecord, IndexChanges};
use crate::store::disk::layout::{SHARD_COUNT, TopName};
use crate::sys;

/// Uses that are noted under one lock.
const SLICE_USES: usize = 512;
/// How often changes are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);
/// A snapshot of at most this length is never written anew because of its length.
const MIN_REWRITE_BYTES: u64 = 1 << 20;

/// The end of the file. Only its owner writes.
#[derive(Debug)]
pub(super) struct SnapshotWriter {
    file: File,
    /// Where the next batch goes.
    len: u64,
    /// Bytes that the account has for the file.
    accounted: u64,
    /// Bytes of the shard folders as the file has them.
    folders: Box<[u64]>,
    /// The tenants whose numbers the file knows.
    tenants: ToldTenants,
    /// The file lacks something, or is of a former version.
    must_rewrite: bool,
}

/// Writes changes from time to time, until the tier stops.
pub(in crate::store::disk) async fn run(core: Arc<DiskCore>) {
    let mut clock = tokio::time::interval(WRITE_INTERVAL);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    clock.tick().await;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        let Ok(_pass) = core.enter() else { return };
        match core
            .blocking(|core| core.write_snapshot(SnapshotCause::Interval))
            .await
        {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not write the snapshot of the cache index"),
            Err(_) => return,
        }
    }
}

impl DiskCore {
    /// Blocking: brings the file up to date. Does nothing while it is still being read.
    pub(in crate::store::disk) fn write_snapshot(&self, cause: SnapshotCause) -> io::Result<()> {
        self.log_uses();
        if cause == SnapshotCause::Interval && !self.read_index(|index| index.has_changes()) {
            return Ok(());
        }
        let Some(mut writer) = self.snapshot.take_writer() else {
            if self.snapshot.is_lost() {
                drop(self.index(|index| index.take_changes()));
            }
            return Ok(());
        };
        let written = self.write_with(&mut writer, cause);
        // What was taken out of the index and not written is nowhere else.
        writer.must_rewrite |= written.is_err();
        self.snapshot.give_back(writer);
        written
    }

    /// Hits note uses without the lock of the index: what the snapshot does not have of them becomes a change.
    fn log_uses(&self) {
        for used in self.hot.unlogged() {
            for slice in used.chunks(SLICE_USES) {
                self.index(|index| index.log_uses(slice));
            }
        }
    }

    fn write_with(&self, writer: &mut SnapshotWriter, cause: SnapshotCause) -> io::Result<()> {
        let changes = self.index(|index| index.take_changes());
        let rows = self.read_index(|index| index.len()) as u64 * ROW_BYTES as u64;
        // A stop must not take long.
        let is_long = cause == SnapshotCause::Interval && writer.len > MIN_REWRITE_BYTES + rows + rows / 2;
        // Somebody may have emptied the directory.
        let is_there = writer.is_at(&self.snapshot.path);
        match writer.must_rewrite || is_long || !is_there {
            true => self.rewrite_snapshot(writer)?,
            false => self.append_changes(writer, &changes)?,
        }
        match cause {
            SnapshotCause::Close { whole: true } => self.append(writer, &clean_mark()),
            _ => Ok(()),
        }
    }

    fn append_changes(&self, writer: &mut SnapshotWriter, changes: &IndexChanges) -> io::Result<()> {
        for gone in changes.gone.chunks(MAX_BATCH_ROWS) {
            let batch = SnapshotBatch {
                gone: gone.to_vec(),
                ..SnapshotBatch::default()
            };
            self.append(writer, &batch.encode())?;
        }
        self.append_folders(writer)?;
        for slots in changes.slots.chunks(MAX_BATCH_ROWS) {
            let mut batch = SnapshotBatch::default();
            self.index(|index| {
                index.changed(slots, |record| batch.rows.push(record.into()));
                // While these entries are there, their tenants have these numbers.
                writer.tenants.tell(&mut batch, self.budget.shares());
            });
            self.append_rows(writer, batch)?;
        }
        Ok(())
    }

    /// Writes a file with one row for each entry beside the former one, and puts it in its place. Entries that are
    /// changed meanwhile are changes for the next time.
    fn rewrite_snapshot(&self, former: &mut SnapshotWriter) -> io::Result<()> {
        let path = self.layout.path(TopName::Tmp).join("index");
        let mut writer = SnapshotWriter::at(File::create(&path)?, 0, 0);
        let written = self
            .write_all_rows(&mut writer)
            .and_then(|()| std::fs::rename(&path, &self.snapshot.path));
        if let Err(error) = written {
            let _left = std::fs::remove_file(&path);
            self.budget.freed(writer.accounted);
            return Err(error);
        }
        self.budget.freed(former.accounted);
        *former = writer;
        Ok(())
    }

    fn write_all_rows(&self, writer: &mut SnapshotWriter) -> io::Result<()> {
        self.append_folders(writer)?;
        let (mut more, mut from) = (true, 0);
        while more {
            let mut batch = SnapshotBatch::default();
            more = self.index(|index| {
                let visit = |record: FileRecord| batch.rows.push(record.into());
                let more = index.all_as_logged(from, MAX_BATCH_ROWS, visit);
                writer.tenants.tell(&mut batch, self.budget.shares());
                more
            });
            from += MAX_BATCH_ROWS;
            self.append_rows(writer, batch)?;
        }
        Ok(())
    }

    /// Appends rows, after the tenants that they name for the first time.
    fn append_rows(&self, writer: &mut SnapshotWriter, mut batch: SnapshotBatch) -> io::Result<()> {
        while !batch.tenants.is_empty() {
            let tenants = SnapshotBatch {
                tenants: take_tenants(&mut batch.tenants),
                ..SnapshotBatch::default()
            };
            self.append(writer, &tenants.encode())?;
        }
        match batch.rows.is_empty() {
            true => Ok(()),
            false => self.append(writer, &batch.encode()),
        }
    }

    /// Appends the folders whose sizes the file does not have.
    fn append_folders(&self, writer: &mut SnapshotWriter) -> io::Result<()> {
        let mut folders = Vec::new();
        for number in 0..SHARD_COUNT {
            let bytes = self.shards.lock(number).bytes;
            if std::mem::replace(&mut writer.folders[number], bytes) != bytes {
                folders.push((number, bytes));
            }
        }
        if folders.is_empty() {
            return Ok(());
        }
        let batch = SnapshotBatch {
            folders,
            ..SnapshotBatch::default()
        };
        self.append(writer, &batch.encode())
    }

    /// Appends a batch, once there is room for it.
    fn append(&self, writer: &mut SnapshotWriter, bytes: &[u8]) -> io::Result<()> {
        let room = self.room_for_snapshot(whole_blocks(bytes.len() as u64) + BLOCK_BYTES)?;
        if let Err(error) = sys::write_all_vectored_at(&writer.file, &[bytes], writer.len) {
            // A torn batch would hide those that are appended later.
            writer.file.set_len(writer.len)?;
            return Err(error);
        }
        writer.len += bytes.len() as u64;
        let held = whole_blocks(writer.len).max(sys::block_bytes(&writer.file.metadata()?));
        room.settle(held.saturating_sub(writer.accounted));
        writer.accounted = writer.accounted.max(held);
        Ok(())
    }

    fn room_for_snapshot(&self, bytes: u64) -> io::Result<Reservation> {
        let mut freed = 0;
        loop {
            match self.budget.take(bytes) {
                Some(room) => return Ok(room),
                // What stands in the way beyond that is nothing that evictions remove.
                None if freed > bytes => return Err(io::ErrorKind::StorageFull.into()),
                None => match self.evict(bytes, &Owner::default()) {
                    0 => return Err(io::ErrorKind::StorageFull.into()),
                    more => freed += more,
                },
            }
        }
    }
}

/// As many tenants as go into one batch, one at least.
fn take_tenants(tenants: &mut Vec<(u32, Tenant)>) -> Vec<(u32, Tenant)> {
    let mut bytes = 0;
    let fits = |(_, tenant): &&(u32, Tenant)| {
        bytes += tenant.name().len() + tenant.group().len();
        bytes <= MAX_BATCH_NAME_BYTES
    };
    let count = tenants.iter().take_while(fits).count();
    let left = tenants.split_off(count.max(1));
    std::mem::replace(tenants, left)
}

impl SnapshotWriter {
    /// Whether the file that is written is the one at `path`.
    fn is_at(&self, path: &Path) -> bool {
        let identity =
            |metadata: io::Result<Metadata>| metadata.map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let own = identity(self.file.metadata());
        own.is_some() && own == identity(path.metadata())
    }

    /// Goes on at `len` in a file for which the account has `accounted` bytes.
    pub(super) fn at(file: File, len: u64, accounted: u64) -> Self {
        Self {
            file,
            len,
            accounted,
            folders: vec![0; SHARD_COUNT].into(),
            tenants: ToldTenants::default(),
            must_rewrite: false,
        }
    }

    /// The file has these folders.
    pub(super) fn with_folders(self, folders: Box<[u64]>) -> Self {
        Self { folders, ..self }
    }

    /// The file is of a former version.
    pub(super) fn outdated(self) -> Self {
        let must_rewrite = true;
        Self { must_rewrite, ..self }
    }
}

//! Reading the snapshot into the index, a batch at a time.
//!
//! A request that comes before the row of its entry was read scans the folder of that entry. So a row never decides
//! about a folder that was scanned: it only gives the order of use.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::time::Instant;

use super::format::{BatchReader, SnapshotBatch, SnapshotRow, clean_mark};
use super::former::{self, FormerReader};
use super::write::SnapshotWriter;
use crate::store::disk::core::DiskCore;
use crate::store::disk::index::FileRecord;
use crate::store::disk::layout::SHARD_COUNT;
use crate::store::disk::slab::ListKind;
use crate::store::shares::{NumberedTenancy, TenantHandle, TenantNumber};
use crate::sys;

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 18;
/// Rows that are put into the index under one lock.
const SLICE_ROWS: usize = 512;

/// A snapshot that is being read.
#[derive(Debug)]
pub(in crate::store::disk) struct SnapshotLoader {
    file: File,
    reader: Reader,
    /// Nothing was committed after the snapshot.
    clean: bool,
    /// The tenants that the numbers of the file mean at this place of it.
    tenants: HashMap<u32, TenantHandle>,
    /// Bytes of the shard folders, as far as they were read.
    folders: Box<[u64]>,
    /// What the file took on the volume when it was opened, which the account has.
    measured: u64,
}

#[derive(Debug)]
enum Reader {
    Batches(BatchReader<BufReader<File>>),
    Former(FormerReader<BufReader<File>>),
}

impl SnapshotLoader {
    /// Opens the snapshot, and takes the mark of a clean stop away: from now on the file does not say that it is
    /// the whole truth.
    fn open(path: &std::path::Path) -> io::Result<Self> {
        let measured = sys::path_block_bytes(path);
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut magic = Vec::new();
        file.by_ref().take(8).read_to_end(&mut magic)?;
        file.rewind()?;
        let input =
            |file: &File| Ok::<_, io::Error>(BufReader::with_capacity(BUFFER_BYTES, file.try_clone()?));
        if magic == former::MAGIC {
            let former = FormerReader::open(input(&file)?)?;
            if let Some(former) = former {
                let reader = Reader::Former(former);
                return Ok(Self::over(file, reader, false, measured));
            }
            tracing::warn!(path = %path.display(), "the snapshot of the cache index is damaged; scanning instead");
            file.set_len(0)?;
        }
        let clean = unmark(&mut file)?;
        file.rewind()?;
        let reader = Reader::Batches(BatchReader::new(input(&file)?));
        Ok(Self::over(file, reader, clean, measured))
    }

    fn over(file: File, reader: Reader, clean: bool, measured: u64) -> Self {
        Self {
            file,
            reader,
            clean,
            tenants: HashMap::new(),
            folders: vec![0; SHARD_COUNT].into(),
            measured,
        }
    }

    fn next(&mut self) -> io::Result<Option<SnapshotBatch>> {
        match &mut self.reader {
            Reader::Batches(reader) => reader.next(),
            Reader::Former(reader) => reader.next(),
        }
    }

    /// Whoever goes on writing where the reader came to its end, and how many bytes the file has grown.
    fn into_writer(self) -> io::Result<(SnapshotWriter, i64)> {
        let length = self.file.metadata()?.len();
        let at = match &self.reader {
            Reader::Batches(reader) => reader.at(),
            Reader::Former(_) => length,
        };
        if at < length {
            tracing::warn!(
                lost = length - at,
                "the end of the snapshot of the cache index is torn; scanning instead"
            );
            self.file.set_len(at)?;
        }
        let now = sys::block_bytes(&self.file.metadata()?);
        let writer = SnapshotWriter::at(self.file, at, now).with_folders(self.folders);
        let writer = match self.reader {
            Reader::Batches(_) => writer,
            Reader::Former(_) => writer.outdated(),
        };
        Ok((writer, now as i64 - self.measured as i64))
    }
}

/// A row in the numbers of this run.
fn record(row: &SnapshotRow, tenants: &HashMap<u32, TenantHandle>) -> FileRecord {
    let number = |number: u32| match number {
        0 => Some(TenantNumber::UNKNOWN),
        number => tenants.get(&number).map(TenantHandle::number),
    };
    let belongs = row.belongs.and_then(|(tenant, rank)| {
        let tenant = number(tenant)?;
        Some(NumberedTenancy { tenant, rank })
    });
    FileRecord { belongs, ..row.file }
}

/// Cuts the mark of a clean stop off; `false` if there is none.
fn unmark(file: &mut File) -> io::Result<bool> {
    let mark = clean_mark();
    let length = file.metadata()?.len();
    let Some(at) = length.checked_sub(mark.len() as u64) else {
        return Ok(false);
    };
    file.seek(SeekFrom::Start(at))?;
    let mut found = Vec::new();
    file.read_to_end(&mut found)?;
    if found == mark {
        file.set_len(at)?;
    }
    Ok(found == mark)
}

impl DiskCore {
    /// Blocking: begins to read the snapshot. `None` if it cannot be read, which is logged.
    pub(in crate::store::disk) fn open_snapshot(&self) -> Option<SnapshotLoader> {
        let opened = SnapshotLoader::open(&self.snapshot.path);
        opened.inspect_err(|error| self.snapshot.lose(error)).ok()
    }

    /// Blocking: reads on until `until`. `None` when everything was read.
    pub(in crate::store::disk) fn load_snapshot(
        &self,
        mut loader: SnapshotLoader,
        until: Option<Instant>,
    ) -> Option<SnapshotLoader> {
        loop {
            if until.is_some_and(|until| Instant::now() >= until) {
                return Some(loader);
            }
            // After the close, the file may be another server's.
            let _pass = self.enter().ok()?;
            match loader.next() {
                Ok(Some(batch)) => {
                    for (number, bytes) in &batch.folders {
                        loader.folders[*number] = *bytes;
                    }
                    for (number, tenant) in &batch.tenants {
                        let handle = TenantHandle::new(self.budget.shares(), Some(tenant));
                        loader.tenants.insert(*number, handle);
                    }
                    self.apply(&batch, &loader.tenants);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "could not read the snapshot of the cache index; scanning instead");
                    break;
                }
            }
        }
        self.order(ListKind::Restored);
        let _pass = self.enter().ok()?;
        let clean = loader.clean;
        match loader.into_writer() {
            Ok((writer, grown)) => {
                self.snapshot.give_back(Box::new(writer));
                self.budget.adjust(grown);
            }
            Err(error) => self.snapshot.lose(&error),
        }
        if clean {
            self.budget.settled();
        }
        None
    }

    fn apply(&self, batch: &SnapshotBatch, tenants: &HashMap<u32, TenantHandle>) {
        let mut grown = 0;
        for slice in batch.gone.chunks(SLICE_ROWS) {
            grown += self.index(|index| {
                let gone = slice.iter().filter(|(digest, _)| !self.scan.knows(digest));
                gone.map(|(digest, generation)| index.restore_gone(digest, *generation))
                    .sum::<i64>()
            });
        }
        for slice in batch.rows.chunks(SLICE_ROWS) {
            let newest = slice.iter().map(|row| row.file.generation).max();
            self.saw_generation(newest.unwrap_or(0));
            grown += self.index(|index| {
                let rows = slice.iter().map(|row| {
                    let record = record(row, tenants);
                    match self.scan.knows(&record.digest) {
                        true => index.restore_order(&record),
                        false => index.restore(&record),
                    }
                });
                rows.sum::<i64>()
            });
        }
        for (number, bytes) in &batch.folders {
            let mut shard = self.shards.lock(*number);
            if !shard.scanned {
                grown += *bytes as i64 - shard.bytes as i64;
                shard.bytes = *bytes;
            }
        }
        self.budget.adjust(grown);
    }
}

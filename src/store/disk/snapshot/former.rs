//! The snapshot that 0.1.0 wrote: one checksum over everything.
//!
//! ```text
//! magic                    8 bytes
//! clean, zero              1 and 7 bytes
//! records, folders         8 bytes each: how many follow
//! record                   digest 32, generation 8, stamp 8, blocks 4
//! folder                   shard 4, bytes 4
//! CRC-64/NVME              8 bytes, of all from the number of records on
//! ```
//!
//! Its mark of a clean stop is not believed: the first start after an update scans before it writes.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use crc_fast::{CrcAlgorithm, Digest as Crc};

use super::format::{FOLDER_BYTES, FORMER_ROW_BYTES as ROW_BYTES, MAX_BATCH_ROWS, SnapshotBatch, decode};
use crate::store::disk::layout::SHARD_COUNT;
use crate::store::little_endian::number;

pub(in crate::store::disk) const MAGIC: &[u8; 8] = b"chachaI1";
const HEADER_BYTES: u64 = 32;
const SUMMED_FROM: u64 = 16;
const SUM_BYTES: u64 = 8;

/// Reads a former snapshot in batches.
#[derive(Debug)]
pub(in crate::store::disk) struct FormerReader<R> {
    input: R,
    records: u64,
    folders: u64,
}

impl<R: Read + Seek> FormerReader<R> {
    /// Checks the whole of it; `None` if it is damaged.
    pub(in crate::store::disk) fn open(mut input: R) -> io::Result<Option<Self>> {
        let length = input.seek(SeekFrom::End(0))?;
        let Some(summed) = length.checked_sub(SUMMED_FROM + SUM_BYTES) else {
            return Ok(None);
        };
        input.rewind()?;
        let mut header = [0; HEADER_BYTES as usize];
        if length < HEADER_BYTES + SUM_BYTES {
            return Ok(None);
        }
        input.read_exact(&mut header)?;
        input.seek(SeekFrom::Start(SUMMED_FROM))?;
        let (mut crc, mut piece, mut left) = (Crc::new(CrcAlgorithm::Crc64Nvme), vec![0; 1 << 16], summed);
        while left > 0 {
            let piece = &mut piece[..left.min(1 << 16) as usize];
            input.read_exact(piece)?;
            crc.update(piece);
            left -= piece.len() as u64;
        }
        let mut sum = [0; SUM_BYTES as usize];
        input.read_exact(&mut sum)?;
        let (records, folders) = (number(&header[16..24]), number(&header[24..32]));
        let bytes = |count: u64, each: usize| count.checked_mul(each as u64);
        let rows = bytes(records, ROW_BYTES).zip(bytes(folders, FOLDER_BYTES));
        let rows = rows.and_then(|(records, folders)| records.checked_add(folders));
        let fits = rows.is_some_and(|rows| rows <= length - HEADER_BYTES - SUM_BYTES);
        if &header[..8] != MAGIC || crc.finalize() != u64::from_le_bytes(sum) || !fits {
            return Ok(None);
        }
        input.seek(SeekFrom::Start(HEADER_BYTES))?;
        Ok(Some(Self {
            input,
            records,
            folders,
        }))
    }

    /// The next rows; `None` after the last ones.
    pub(in crate::store::disk) fn next(&mut self) -> io::Result<Option<SnapshotBatch>> {
        let mut batch = SnapshotBatch::default();
        let records = take(&mut self.records);
        for row in self.rows(records, ROW_BYTES)?.chunks_exact(ROW_BYTES) {
            batch.rows.push(decode(row));
        }
        if records == 0 {
            let folders = take(&mut self.folders);
            if folders == 0 {
                return Ok(None);
            }
            for row in self.rows(folders, FOLDER_BYTES)?.chunks_exact(FOLDER_BYTES) {
                let shard = number(&row[..4]) as usize % SHARD_COUNT;
                batch.folders.push((shard, number(&row[4..])));
            }
        }
        Ok(Some(batch))
    }

    fn rows(&mut self, count: usize, each: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count * each];
        match self.input.read_exact(&mut bytes) {
            // It was cut meanwhile.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Vec::new()),
            other => other.map(|()| bytes),
        }
    }
}

/// A batch of what is left.
fn take(left: &mut u64) -> usize {
    let now = (*left).min(MAX_BATCH_ROWS as u64);
    *left -= now;
    now as usize
}

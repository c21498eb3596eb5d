//! The bytes of a snapshot.
//!
//! ```text
//! batch      length of the record 4, a tagged record
//! record     any of: rows with their width, rows of entries that are gone, folders, the mark of a clean stop
//! tenant     number 4, length of the name 4, name, group: whom this number means in the rows that follow
//! row        digest 32, generation 8, stamp 8, blocks 4, number of the tenant 4 (0: nobody who is known), rank 1
//!            (255: nobody has read whom it belongs to, as in the shorter rows of former versions); what follows in a
//!            wider row is of a later version
//! gone       digest 32, generation 8: versions up to this one are gone
//! folder     shard 4, bytes 4: what the folder itself takes
//! ```
//!
//! A number may come to mean another tenant; rows that stand before that mean the former one.
//!
//! A later batch overrules an earlier one, and the rows of one batch what it says is gone. The mark is the last
//! thing in a file, and says that nothing was committed after it. Numbers are little endian.

use std::io::{self, Read};

use crate::store::disk::index::FileRecord;
use crate::store::disk::layout::SHARD_COUNT;
use crate::store::little_endian::number;
use crate::store::shares::NumberedTenancy;
use crate::store::tagged::{RecordKind, Tag, TaggedError, TaggedReader, TaggedWriter};
use crate::store::{Digest, Rank, Tenant};

/// Width of a row, 8 bytes.
const ROW_BYTES_TAG: Tag = Tag::new(1);
const ROWS: Tag = Tag::new(2);
const GONE: Tag = Tag::new(3);
const FOLDERS: Tag = Tag::new(4);
const CLEAN: Tag = Tag::new(5);
/// May be repeated.
const TENANT: Tag = Tag::new(6);

const KIND: RecordKind = RecordKind {
    magic: *b"CHIx",
    version: 1,
    tags: &[ROW_BYTES_TAG, ROWS, GONE, FOLDERS, CLEAN, TENANT],
};

/// Bytes of a row.
pub(super) const ROW_BYTES: usize = 57;
/// Bytes of a row of former versions.
pub(super) const FORMER_ROW_BYTES: usize = 52;
/// The rank of an entry of which nobody has read whom it belongs to.
const UNREAD: u8 = u8::MAX;
const GONE_BYTES: usize = 40;
pub(super) const FOLDER_BYTES: usize = 8;
/// Most rows of one kind in a batch.
pub(super) const MAX_BATCH_ROWS: usize = 4096;
/// Most bytes of names in a batch. One tenant has a few KiB.
pub(super) const MAX_BATCH_NAME_BYTES: usize = 256 << 10;
/// Longest record of a batch that is read, in bytes; those that are written have a quarter of it.
const MAX_RECORD_BYTES: usize = 2 << 20;

/// An entry in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SnapshotRow {
    /// Without whom it belongs to: the numbers of a file are not those of this run.
    pub(super) file: FileRecord,
    /// The number of the tenant and the rank; `None` if nobody has read whom it belongs to.
    pub(super) belongs: Option<(u32, Rank)>,
}

impl From<FileRecord> for SnapshotRow {
    fn from(record: FileRecord) -> Self {
        let numbers = |belongs: NumberedTenancy| (belongs.tenant.get(), belongs.rank);
        Self {
            belongs: record.belongs.map(numbers),
            file: FileRecord {
                belongs: None,
                ..record
            },
        }
    }
}

/// What a batch says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store::disk) struct SnapshotBatch {
    /// Numbers and the tenants that they mean from now on.
    pub(super) tenants: Vec<(u32, Tenant)>,
    pub(super) rows: Vec<SnapshotRow>,
    pub(super) gone: Vec<(Digest, u64)>,
    /// Shard number and bytes of its folder.
    pub(super) folders: Vec<(usize, u64)>,
}

impl SnapshotBatch {
    pub(in crate::store::disk) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = TaggedWriter::new(&KIND);
        if !self.gone.is_empty() {
            let gone = self.gone.iter();
            let gone = gone.map(|(digest, generation)| {
                [digest.as_bytes(), generation.to_le_bytes().as_slice()].concat()
            });
            writer.field(GONE, &gone.collect::<Vec<_>>().concat());
        }
        if !self.folders.is_empty() {
            let mut bytes = Vec::with_capacity(self.folders.len() * FOLDER_BYTES);
            for (shard, folder) in &self.folders {
                bytes.extend_from_slice(&(*shard as u32).to_le_bytes());
                bytes.extend_from_slice(&u32::try_from(*folder).unwrap_or(u32::MAX).to_le_bytes());
            }
            writer.field(FOLDERS, &bytes);
        }
        for (number, tenant) in &self.tenants {
            writer.field(TENANT, &encode_tenant(*number, tenant));
        }
        if !self.rows.is_empty() {
            let mut bytes = Vec::with_capacity(self.rows.len() * ROW_BYTES);
            self.rows.iter().for_each(|row| encode(row, &mut bytes));
            writer.number(ROW_BYTES_TAG, ROW_BYTES as u64);
            writer.field(ROWS, &bytes);
        }
        framed(&writer.finish())
    }

    fn decode(record: &[u8]) -> Result<Self, TaggedError> {
        let reader = TaggedReader::open(&KIND, record, MAX_RECORD_BYTES)?;
        let width = reader.number(ROW_BYTES_TAG).unwrap_or(FORMER_ROW_BYTES as u64);
        let width = usize::try_from(width).ok();
        let width = width.filter(|width| *width >= FORMER_ROW_BYTES);
        let width = width.ok_or(TaggedError::Damaged)?;
        let gone = |row: &[u8]| (digest(row), number(&row[32..]));
        let folder = |row: &[u8]| (number(&row[..4]) as usize % SHARD_COUNT, number(&row[4..]));
        let field = |tag| reader.get(tag).unwrap_or_default();
        Ok(Self {
            tenants: reader.all(TENANT).filter_map(decode_tenant).collect(),
            rows: field(ROWS).chunks_exact(width).map(decode).collect(),
            gone: field(GONE).chunks_exact(GONE_BYTES).map(gone).collect(),
            folders: field(FOLDERS).chunks_exact(FOLDER_BYTES).map(folder).collect(),
        })
    }
}

/// The batch that ends a file after a clean stop: always the same bytes.
pub(super) fn clean_mark() -> Vec<u8> {
    let mut writer = TaggedWriter::new(&KIND);
    writer.field(CLEAN, b"");
    framed(&writer.finish())
}

pub(in crate::store::disk) fn framed(record: &[u8]) -> Vec<u8> {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    [length.to_le_bytes().as_slice(), record].concat()
}

/// Reads batches one after the other.
#[derive(Debug)]
pub(in crate::store::disk) struct BatchReader<R> {
    input: R,
    /// The end of the last whole batch.
    at: u64,
    record: Vec<u8>,
}

impl<R: Read> BatchReader<R> {
    pub(in crate::store::disk) fn new(input: R) -> Self {
        let (at, record) = (0, Vec::new());
        Self { input, at, record }
    }

    /// The end of the last whole batch.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next batch; `None` at the end of the file, and at a batch that is torn or damaged.
    pub(in crate::store::disk) fn next(&mut self) -> io::Result<Option<SnapshotBatch>> {
        let mut length = Vec::new();
        self.input.by_ref().take(4).read_to_end(&mut length)?;
        let length = number(&length);
        if length == 0 || length > MAX_RECORD_BYTES as u64 {
            return Ok(None);
        }
        self.record.clear();
        // Grows with what is there, not with what is claimed.
        self.input.by_ref().take(length).read_to_end(&mut self.record)?;
        let batch = match self.record.len() as u64 == length {
            true => SnapshotBatch::decode(&self.record).ok(),
            false => None,
        };
        self.at += batch.as_ref().map_or(0, |_| 4 + length);
        Ok(batch)
    }
}

fn encode_tenant(number: u32, tenant: &Tenant) -> Vec<u8> {
    let (name, group) = (tenant.name(), tenant.group());
    // Far below 4 GiB: see `Tenant::MAX_BYTES`.
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let numbers = [number.to_le_bytes(), length.to_le_bytes()].concat();
    [&numbers, name.as_bytes(), group.as_bytes()].concat()
}

/// `None` for what no version writes.
fn decode_tenant(bytes: &[u8]) -> Option<(u32, Tenant)> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (length, names) = rest.split_first_chunk()?;
    let (name, group) = names.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let tenant = Tenant::from_names(text(name)?, text(group)?);
    Some((u32::from_le_bytes(*number), tenant))
}

fn encode(row: &SnapshotRow, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(row.file.digest.as_bytes());
    bytes.extend_from_slice(&row.file.generation.to_le_bytes());
    bytes.extend_from_slice(&row.file.stamp.to_le_bytes());
    bytes.extend_from_slice(&row.file.blocks.to_le_bytes());
    let (tenant, rank) = row
        .belongs
        .map_or((0, UNREAD), |(tenant, rank)| (tenant, rank.number()));
    bytes.extend_from_slice(&tenant.to_le_bytes());
    bytes.push(rank);
}

/// `bytes` has at least the length of a row of former versions.
pub(super) fn decode(bytes: &[u8]) -> SnapshotRow {
    let file = FileRecord {
        digest: digest(bytes),
        generation: number(&bytes[32..40]),
        stamp: number(&bytes[40..48]),
        blocks: u32::try_from(number(&bytes[48..52])).unwrap_or(u32::MAX),
        belongs: None,
    };
    let belongs = match bytes[FORMER_ROW_BYTES..] {
        [a, b, c, d, rank, ..] if rank != UNREAD => {
            Some((u32::from_le_bytes([a, b, c, d]), Rank::from_number(rank)))
        }
        _ => None,
    };
    SnapshotRow { file, belongs }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(std::array::from_fn(|nth| bytes[nth]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows: u64) -> SnapshotBatch {
        let digest = |nth: u64| Digest::of(&nth.to_le_bytes());
        let row = |nth| SnapshotRow {
            file: FileRecord {
                digest: digest(nth),
                generation: nth + 1,
                stamp: nth + 2,
                blocks: 3,
                belongs: None,
            },
            belongs: [None, Some((0, Rank::Other)), Some((7, Rank::Protected))][nth as usize % 3],
        };
        SnapshotBatch {
            tenants: vec![(7, Tenant::from_names("issuer#\u{e9}", "issuer"))],
            rows: (0..rows).map(row).collect(),
            gone: (0..rows / 2).map(|nth| (digest(nth), nth)).collect(),
            folders: vec![(7, 4096)],
        }
    }

    fn read(bytes: &[u8]) -> (Vec<SnapshotBatch>, u64) {
        let mut reader = BatchReader::new(bytes);
        let mut all = Vec::new();
        while let Some(batch) = reader.next().expect("no input error") {
            all.push(batch);
        }
        (all, reader.at())
    }

    #[test]
    fn a_tail_that_is_torn_anywhere_costs_the_last_batch_only() {
        let (first, second) = (batch(5).encode(), batch(3).encode());
        let whole = [first.as_slice(), &second].concat();
        assert_eq!(read(&whole), (vec![batch(5), batch(3)], whole.len() as u64));
        for end in first.len()..whole.len() {
            assert_eq!(read(&whole[..end]), (vec![batch(5)], first.len() as u64), "{end}");
            let mut bad = whole.clone();
            bad[end] ^= 0x10;
            assert_eq!(read(&bad), (vec![batch(5)], first.len() as u64), "{end}");
        }
    }

    /// The rows of a batch as a version writes them whose rows have `cut` bytes less, and `more` at the end.
    fn rows_of_another_version(cut: usize, more: &[u8]) -> Vec<SnapshotRow> {
        let mut writer = TaggedWriter::new(&KIND);
        let mut rows = Vec::new();
        for row in batch(3).rows {
            encode(&row, &mut rows);
            rows.truncate(rows.len() - cut);
            rows.extend_from_slice(more);
        }
        writer.number(ROW_BYTES_TAG, (ROW_BYTES - cut + more.len()) as u64);
        writer.field(ROWS, &rows);
        let (mut read, _) = read(&framed(&writer.finish()));
        read.remove(0).rows
    }

    #[test]
    fn rows_of_other_versions_are_read() {
        assert_eq!(rows_of_another_version(0, b"lease"), batch(3).rows);
        let mut former = batch(3).rows;
        former.iter_mut().for_each(|row| row.belongs = None);
        assert_eq!(rows_of_another_version(ROW_BYTES - FORMER_ROW_BYTES, b""), former);
    }
}

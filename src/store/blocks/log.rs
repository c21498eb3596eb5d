//! The log of an upload: what arrived, in the order in which it became complete.
//!
//! ```text
//! record    length of the payload (4 bytes), payload, CRC-64/NVME of the payload (8 bytes)
//! begin     1, version, note                                            always the first record
//! block     2, place, file, offset, length, number of checksums, checksums; in the log itself: the bytes
//! list      3, number of blocks, the number of each in order of the body
//! place     0 | 1, offset | 2, length of the id (1 byte), id
//! ```
//!
//! All numbers are little endian. Blocks are numbered as they stand in the log, from 0 on. What follows the
//! last whole record is the rest of one that was torn.

use super::BlockPlace;
use super::block::{Extent, UploadFile};
use crate::store::little_endian::number;
use crate::store::spool::crc;

/// Version of the format.
const VERSION: u8 = 1;
/// Bytes around a payload.
const FRAME_BYTES: usize = 12;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LogRecord {
    Begin {
        note: Box<[u8]>,
    },
    Block {
        place: BlockPlace,
        extent: Extent,
        sums: Box<[u64]>,
    },
    List(Vec<u32>),
}

impl LogRecord {
    /// As it is written to offset `at` of the log. `bytes`: the block itself if it stands in the log, where
    /// [`Extent::at`] then follows from `at`.
    pub(super) fn encode(&self, bytes: &[u8]) -> Vec<u8> {
        let mut to = vec![0; 4];
        match self {
            Self::Begin { note } => {
                to.extend_from_slice(&[1, VERSION]);
                to.extend_from_slice(note);
            }
            Self::Block { place, extent, sums } => {
                to.push(2);
                encode_place(&mut to, place);
                to.push(tag(extent.file));
                for number in [extent.at, extent.length, sums.len() as u64] {
                    to.extend_from_slice(&number.to_le_bytes());
                }
                sums.iter()
                    .for_each(|sum| to.extend_from_slice(&sum.to_le_bytes()));
                to.extend_from_slice(bytes);
            }
            Self::List(numbers) => {
                to.push(3);
                numbers
                    .iter()
                    .for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
            }
        }
        let sum = crc(&to[4..]);
        let length = to.len() as u32 - 4;
        to[..4].copy_from_slice(&length.to_le_bytes());
        to.extend_from_slice(&sum.to_le_bytes());
        to
    }
}

/// The most that the record of one block takes, in bytes; without a body that stands in it.
pub(super) fn max_record_bytes(length: u64) -> u64 {
    FRAME_BYTES as u64 + 128 + 8 * (length / crate::store::spool::Checksums::BLOCK_BYTES + 2)
}

/// What the record of a list of `blocks` blocks takes, in bytes.
pub(super) fn list_bytes(blocks: usize) -> u64 {
    (FRAME_BYTES + 1 + 4 * blocks) as u64
}

/// The bytes of a block that stands in a record of `length` bytes, from the record's beginning on.
pub(super) fn body_offset(record: u64, body: u64) -> u64 {
    record - 8 - body
}

/// Reads the records of a log, up to the first one that is not whole.
pub(super) struct LogRecords<'a> {
    log: &'a [u8],
    /// End of the last whole record.
    end: usize,
}

impl<'a> LogRecords<'a> {
    pub(super) fn new(log: &'a [u8]) -> Self {
        Self { log, end: 0 }
    }

    /// Where the last whole record ends, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.end as u64
    }
}

impl Iterator for LogRecords<'_> {
    type Item = LogRecord;

    fn next(&mut self) -> Option<LogRecord> {
        let mut rest = Reader(&self.log[self.end..]);
        let length = rest.u32()? as usize;
        let payload = rest.take(length)?;
        if rest.u64()? != crc(payload) {
            return None;
        }
        let end = self.end + FRAME_BYTES + length;
        let record = decode(payload, end as u64 - 8)?;
        self.end = end;
        Some(record)
    }
}

/// `end`: offset of the end of the payload in the log.
fn decode(payload: &[u8], end: u64) -> Option<LogRecord> {
    let mut from = Reader(payload);
    match from.u8()? {
        1 if from.u8()? == VERSION => Some(LogRecord::Begin { note: from.0.into() }),
        2 => {
            let place = decode_place(&mut from)?;
            let tagged = from.u8()?;
            let file = *UploadFile::ALL.iter().find(|file| tag(**file) == tagged)?;
            let (at, length, count) = (from.u64()?, from.u64()?, from.u64()?);
            let sums = from.take(usize::try_from(count.checked_mul(8)?).ok()?)?;
            let sums: Box<[u64]> = sums.chunks_exact(8).map(number).collect();
            let at = match file {
                UploadFile::Log if from.0.len() as u64 == length => end - length,
                UploadFile::Log => return None,
                _ => at,
            };
            at.checked_add(length)?;
            let extent = Extent { file, at, length };
            (extent.parts().count() == sums.len()).then_some(LogRecord::Block { place, extent, sums })
        }
        3 => Some(LogRecord::List(
            from.0.chunks_exact(4).map(|n| number(n) as u32).collect(),
        )),
        _ => None,
    }
}

fn encode_place(to: &mut Vec<u8>, place: &BlockPlace) {
    match place {
        BlockPlace::Whole => to.push(0),
        BlockPlace::At(offset) => {
            to.push(1);
            to.extend_from_slice(&offset.to_le_bytes());
        }
        BlockPlace::Block(id) => {
            // At most 64 bytes.
            to.extend_from_slice(&[2, id.len() as u8]);
            to.extend_from_slice(id);
        }
    }
}

fn decode_place(from: &mut Reader<'_>) -> Option<BlockPlace> {
    Some(match from.u8()? {
        0 => BlockPlace::Whole,
        1 => BlockPlace::At(from.u64()?),
        2 => {
            let length = from.u8()?;
            BlockPlace::Block(from.take(length.into())?.into())
        }
        _ => return None,
    })
}

fn tag(file: UploadFile) -> u8 {
    match file {
        UploadFile::Log => 0,
        UploadFile::Data => 1,
        UploadFile::More => 2,
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| number(bytes) as u32)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8).map(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(place: BlockPlace, file: UploadFile, at: u64, length: u64) -> LogRecord {
        let extent = Extent { file, at, length };
        let sums = (0..extent.parts().count() as u64).collect();
        LogRecord::Block { place, extent, sums }
    }

    fn all() -> Vec<(LogRecord, Vec<u8>)> {
        vec![
            (
                LogRecord::Begin {
                    note: (*b"note").into(),
                },
                vec![],
            ),
            (block(BlockPlace::Whole, UploadFile::Log, 0, 5), b"12345".to_vec()),
            (block(BlockPlace::At(7), UploadFile::Data, 7, 3 << 20), vec![]),
            (
                block(BlockPlace::Block([9; 64].into()), UploadFile::More, 1 << 40, 0),
                vec![],
            ),
            (LogRecord::List(vec![2, 0, u32::MAX]), vec![]),
        ]
    }

    fn written() -> (Vec<u8>, Vec<usize>) {
        let (mut log, mut ends) = (Vec::new(), Vec::new());
        for (record, bytes) in all() {
            log.extend(record.encode(&bytes));
            ends.push(log.len());
        }
        (log, ends)
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (log, ends) = written();
        let mut records = LogRecords::new(&log);
        let found: Vec<LogRecord> = records.by_ref().collect();
        assert_eq!(records.end(), log.len() as u64);
        for (nth, (mut expected, bytes)) in all().into_iter().enumerate() {
            if let LogRecord::Block { extent, .. } = &mut expected
                && extent.file == UploadFile::Log
            {
                extent.at = (ends[nth] - 8 - bytes.len()) as u64;
                assert_eq!(&log[extent.at as usize..][..5], b"12345");
                let (start, end) = (ends[nth - 1] as u64, ends[nth] as u64);
                assert_eq!(start + body_offset(end - start, 5), extent.at);
            }
            assert_eq!(found[nth], expected);
        }
    }

    #[test]
    fn what_is_torn_or_damaged_ends_the_log_before_it() {
        let (log, ends) = written();
        for cut in 0..log.len() {
            let mut records = LogRecords::new(&log[..cut]);
            let count = records.by_ref().count();
            assert_eq!(count, ends.iter().filter(|end| **end <= cut).count());
        }
        for at in 0..log.len() {
            let mut damaged = log.clone();
            damaged[at] ^= 0x40;
            let count = LogRecords::new(&damaged).count();
            assert_eq!(count, ends.iter().filter(|end| **end <= at).count());
        }
    }

    #[test]
    fn the_size_of_a_record_is_known_before_it_is_written() {
        for length in [0, 1, 1 << 20, (9 << 20) + 1] {
            let place = BlockPlace::Block([9; 64].into());
            let record = block(place, UploadFile::Data, (1 << 20) - 1, length);
            assert!(record.encode(&[]).len() as u64 <= max_record_bytes(length));
        }
        assert_eq!(
            LogRecord::List(vec![0; 77]).encode(&[]).len() as u64,
            list_bytes(77)
        );
    }
}

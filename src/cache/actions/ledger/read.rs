//! Reading a ledger from its beginning, or from where an earlier reader stood.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::format::{LINE_HEAD_BYTES, LedgerItem, LedgerLine, MAGIC, MAX_CONTENT_BYTES, PlaceTable};
use super::former;
use crate::store::spool::crc;

/// The next thing in a ledger.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LedgerRead {
    LedgerItem(LedgerItem),
    /// The end of the file, and nothing is missing.
    End,
    /// A line that was not written to its end.
    Torn,
    /// Bytes that are no line, with more behind them.
    Damaged,
}

pub(super) struct LedgerReader {
    input: BufReader<File>,
    /// Where the next line begins.
    at: u64,
    end: u64,
    content: Vec<u8>,
}

impl LedgerReader {
    /// Reads `file` from `at` up to `end`, a byte after a line each.
    pub(super) fn new(mut file: File, at: u64, end: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        Ok(Self {
            input: BufReader::with_capacity(1 << 18, file),
            at,
            end,
            content: Vec::new(),
        })
    }

    /// The beginning of the first line; `None` if the file is no ledger.
    pub(super) fn magic(&mut self) -> io::Result<Option<u64>> {
        let mut magic = [0; MAGIC.len()];
        if self.end < magic.len() as u64 {
            return Ok(None);
        }
        self.input.read_exact(&mut magic)?;
        self.at = magic.len() as u64;
        Ok([MAGIC, former::MAGIC].contains(&&magic).then_some(self.at))
    }

    /// The end of the last whole line.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next item; places go into `places`.
    pub(super) fn next(&mut self, places: &mut PlaceTable) -> io::Result<LedgerRead> {
        loop {
            let left = self.end - self.at;
            match left {
                0 => return Ok(LedgerRead::End),
                _ if left < LINE_HEAD_BYTES as u64 => return Ok(LedgerRead::Torn),
                _ => {}
            }
            let (mut length, mut sum) = ([0; 4], [0; 8]);
            self.input.read_exact(&mut length)?;
            self.input.read_exact(&mut sum)?;
            let length = u32::from_le_bytes(length) as usize;
            let whole = (LINE_HEAD_BYTES + length) as u64;
            if whole > left {
                return Ok(LedgerRead::Torn);
            }
            if length > MAX_CONTENT_BYTES {
                return Ok(LedgerRead::Damaged);
            }
            self.content.resize(length, 0);
            self.input.read_exact(&mut self.content)?;
            let is_sound = crc(&self.content) == u64::from_le_bytes(sum);
            let Some(line) = is_sound.then(|| decode(places, &self.content)).flatten() else {
                return Ok(if whole == left {
                    LedgerRead::Torn
                } else {
                    LedgerRead::Damaged
                });
            };
            self.at += whole;
            match line {
                LedgerLine::Place(namespace, version) => _ = places.add(namespace, version),
                LedgerLine::Skipped => {}
                LedgerLine::LedgerItem(item) => return Ok(LedgerRead::LedgerItem(item)),
            }
        }
    }
}

fn decode(places: &PlaceTable, content: &[u8]) -> Option<LedgerLine> {
    match former::is_former(content) {
        true => former::decode(places, content),
        false => places.decode(content),
    }
}

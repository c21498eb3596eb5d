//! The file of an entry: the body from offset 0 on, then a trailer.
//!
//! ```text
//! body                         page aligned, so that it can be sent as it is
//! table                        CRC-64/NVME of every MiB of the body, 8 bytes each
//! description                  JSON: format, key (canonical form, base64), origin, metadata
//! footer                       length of the body, table and description (8 bytes each);
//!                              CRC-64/NVME of table, description and the lengths; magic
//! ```
//!
//! All numbers are little endian. The footer is written last: a file that was torn by a crash has none,
//! or one whose lengths or checksum do not fit.

use std::fs::File;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::hot::IN_MEMORY;
use crate::store::spool::{Checksums, crc};
use crate::store::{Meta, Metadata, Origin, StoreKey};
use crate::sys;

/// Version of the whole directory and of the trailer.
pub(super) const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"chacha\x001";
const FOOTER: u64 = 40;
/// Read at once from the end of a file whose length is not known to be small.
const TAIL: u64 = 16 * 1024;
/// Files up to this length are read as a whole: every body that is kept in memory with its trailer.
const WHOLE: u64 = IN_MEMORY + TAIL;
/// Longest accepted description: the longest key and metadata, escaped, are far below.
const MOST_JSON: u64 = 1 << 20;

/// Why a file is not the entry it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("the file is torn or cut")]
    Torn,
    #[error("the description is damaged")]
    Description,
    #[error("the body is damaged")]
    Body,
    #[error("the file holds another entry than its name says")]
    Foreign,
}

/// A file that cannot be opened as an entry.
#[derive(Debug)]
pub(super) enum Failure {
    Gone,
    Flawed(Flaw),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::UnexpectedEof => Self::Flawed(Flaw::Torn),
            _ => Self::Io(error),
        }
    }
}

impl From<Flaw> for Failure {
    fn from(flaw: Flaw) -> Self {
        Self::Flawed(flaw)
    }
}

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    key: String,
    origin: Origin,
    metadata: Metadata,
}

/// What follows the body of an entry.
pub(super) fn trailer(key: &StoreKey, meta: &Meta, sums: &Checksums) -> io::Result<Bytes> {
    let json = serde_json::to_vec(&Description {
        format: VERSION,
        key: STANDARD.encode(key.canonical()),
        origin: meta.origin.clone(),
        metadata: meta.metadata.clone(),
    })?;
    let table = sums.blocks().len() * 8;
    let mut bytes = Vec::with_capacity(table + json.len() + FOOTER as usize);
    for block in sums.blocks() {
        bytes.extend_from_slice(&block.to_le_bytes());
    }
    bytes.extend_from_slice(&json);
    for length in [sums.size(), table as u64, json.len() as u64] {
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    let sum = crc(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(MAGIC);
    Ok(bytes.into())
}

/// An entry as its file describes it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) meta: Meta,
    pub(super) sums: Checksums,
    /// The body, if the file is so short that it was read as a whole. Not checked yet.
    pub(super) body: Option<Bytes>,
}

/// Blocking: reads the trailer of a file of `length` bytes and holds it against `key`.
pub(super) fn read(file: &File, length: u64, key: &StoreKey) -> Result<Parsed, Failure> {
    let start = if length <= WHOLE { 0 } else { length - TAIL };
    let mut tail = read_from(file, start, length)?;
    let lengths = Lengths::parse(&tail, length)?;
    if lengths.trailer() > tail.len() as u64 {
        tail = read_from(file, lengths.body, length)?;
    }
    let at = (tail.len() as u64 - lengths.trailer()) as usize;
    let (table, json) = lengths.check(&tail[at..])?;
    let meta = describe(json, key)?;
    let blocks = table.chunks_exact(8).map(number).collect();
    let sums = Checksums::from_parts(lengths.body, blocks).ok_or(Flaw::Description)?;
    let body = (start == 0 && length <= WHOLE).then(|| Bytes::copy_from_slice(&tail[..at]));
    let meta = Meta {
        size: lengths.body,
        etag: sums.etag(),
        origin: meta.origin,
        metadata: meta.metadata,
    };
    Ok(Parsed { meta, sums, body })
}

/// Blocking: the key of an entry and the checksums of its body, from its file of `length` bytes.
pub(super) fn identify(file: &File, length: u64) -> Result<Option<(StoreKey, Checksums)>, Failure> {
    let lengths = Lengths::parse(&read_from(file, length.saturating_sub(TAIL), length)?, length)?;
    let trailer = read_from(file, lengths.body, length)?;
    let (table, json) = lengths.check(&trailer)?;
    let description: Description = serde_json::from_slice(json).map_err(|_| Flaw::Description)?;
    let canonical = STANDARD.decode(&description.key).map_err(|_| Flaw::Description)?;
    let blocks = table.chunks_exact(8).map(number).collect();
    let sums = Checksums::from_parts(lengths.body, blocks).ok_or(Flaw::Description)?;
    Ok(StoreKey::from_canonical(&canonical).map(|key| (key, sums)))
}

fn describe(json: &[u8], key: &StoreKey) -> Result<Description, Flaw> {
    let description: Description = serde_json::from_slice(json).map_err(|_| Flaw::Description)?;
    if description.format != VERSION {
        return Err(Flaw::Description);
    }
    let stored = STANDARD.decode(&description.key).map_err(|_| Flaw::Description)?;
    if stored != key.canonical() {
        return Err(Flaw::Foreign);
    }
    Ok(description)
}

/// The lengths in a footer.
struct Lengths {
    body: u64,
    table: u64,
    json: u64,
}

impl Lengths {
    fn parse(tail: &[u8], length: u64) -> Result<Self, Flaw> {
        let footer = tail.last_chunk::<{ FOOTER as usize }>().ok_or(Flaw::Torn)?;
        if &footer[32..] != MAGIC {
            return Err(Flaw::Torn);
        }
        let this = Self {
            body: number(&footer[..8]),
            table: number(&footer[8..16]),
            json: number(&footer[16..24]),
        };
        let fits = this.json <= MOST_JSON
            && this.table == this.body.div_ceil(Checksums::BLOCK).saturating_mul(8)
            && this.body.checked_add(this.trailer()) == Some(length);
        fits.then_some(this).ok_or(Flaw::Torn)
    }

    fn trailer(&self) -> u64 {
        self.table.saturating_add(self.json).saturating_add(FOOTER)
    }

    /// Table and description of a whole trailer, checked.
    fn check<'a>(&self, trailer: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Flaw> {
        let (summed, rest) = trailer.split_at(trailer.len() - 16);
        if crc(summed) != number(&rest[..8]) {
            return Err(Flaw::Description);
        }
        let (table, rest) = summed.split_at(self.table as usize);
        Ok((table, &rest[..self.json as usize]))
    }
}

fn read_from(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (end - start) as usize];
    sys::read_exact_at(file, &mut bytes, start)?;
    Ok(bytes)
}

/// Up to eight bytes, little endian.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

//! What follows the body of an entry: the file of a disk and the object of a remote tier may end with it.
//!
//! ```text
//! body                         from offset 0, so that it can be sent as it is
//! table                        CRC-64/NVME of every MiB of the body, 8 bytes each
//! description                  see `store::description`
//! footer                       length of the body, table and description (8 bytes each);
//!                              CRC-64/NVME of table, description and the lengths; magic
//! ```
//!
//! All numbers are little endian. The footer comes last: what was torn has none, or one whose lengths or
//! checksum do not fit.

use bytes::Bytes;

use super::description::{self, Description};
use super::little_endian::number;
use super::spool::{Checksums, crc};
use super::tagged::TaggedError;
use super::{Meta, StoreKey, Tenancy};

const MAGIC: &[u8; 8] = b"chacha\x001";
const FOOTER_BYTES: u64 = 40;
/// Bytes to read at once from the end of something whose length is not known to be small: they hold
/// every usual trailer.
pub(crate) const TAIL_BYTES: u64 = 16 * 1024;

/// Why something is not the entry it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryError {
    #[error("the file is torn or cut")]
    Torn,
    #[error("the description is damaged")]
    Description,
    #[error("the body is damaged")]
    Body,
    #[error("the volume cannot read the file")]
    Unreadable,
    #[error("the file holds another entry than its name says")]
    Foreign,
    #[error("a newer version of this program wrote it, in a form that this one does not know")]
    Newer,
}

impl From<TaggedError> for EntryError {
    fn from(error: TaggedError) -> Self {
        match error {
            TaggedError::Newer => Self::Newer,
            TaggedError::Foreign | TaggedError::Damaged => Self::Description,
        }
    }
}

/// What follows the body of an entry.
pub(crate) fn write(key: &StoreKey, meta: &Meta, sums: &Checksums) -> Bytes {
    let text = description::write(key, meta, false);
    let table = sums.blocks().len() * 8;
    let mut bytes = Vec::with_capacity(table + text.len() + FOOTER_BYTES as usize);
    for block in sums.blocks() {
        bytes.extend_from_slice(&block.to_le_bytes());
    }
    bytes.extend_from_slice(&text);
    seal(bytes, sums.size()).into()
}

/// An entry as its trailer describes it.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) meta: Meta,
    pub(crate) sums: Checksums,
}

/// Where the trailer of an entry begins that takes `length` bytes and ends with `tail`: the length of
/// its body.
pub(crate) fn begin(tail: &[u8], length: u64) -> Result<u64, EntryError> {
    Ok(Lengths::parse(tail, length)?.body)
}

/// Reads the trailer of an entry that takes `length` bytes and ends with `tail`, which holds at least
/// everything from [`begin`] on, and holds it against `key`.
pub(crate) fn parse(tail: &[u8], length: u64, key: &StoreKey) -> Result<Described, EntryError> {
    let lengths = Lengths::parse(tail, length)?;
    let (table, text) = lengths.check(tail)?;
    let Description {
        key: stored,
        origin,
        metadata,
        ..
    } = description::read(text)?;
    if stored != key.canonical() {
        return Err(EntryError::Foreign);
    }
    let blocks = table.chunks_exact(8).map(number).collect();
    let sums = Checksums::from_parts(lengths.body, blocks).ok_or(EntryError::Description)?;
    let meta = Meta {
        size: lengths.body,
        etag: sums.etag(),
        origin,
        metadata,
    };
    Ok(Described { meta, sums })
}

/// The key that stands in the trailer; `None` if it is none of ours. See [`parse`].
pub(crate) fn key(tail: &[u8], length: u64) -> Result<Option<StoreKey>, EntryError> {
    let (_, text) = Lengths::parse(tail, length)?.check(tail)?;
    let stored = description::read(text)?.key;
    Ok(StoreKey::from_canonical(&stored))
}

/// Whom the entry belongs to; `None` if that does not stand there. See [`parse`].
pub(crate) fn tenancy(tail: &[u8], length: u64) -> Result<Option<Tenancy>, EntryError> {
    let (_, text) = Lengths::parse(tail, length)?.check(tail)?;
    Ok(description::read(text)?.origin.tenancy)
}

/// Ends a trailer: the footer for a body of `body` bytes, and table and description in `bytes`.
pub(crate) fn seal(mut bytes: Vec<u8>, body: u64) -> Vec<u8> {
    let table = table_of(body);
    let text = (bytes.len() as u64).saturating_sub(table);
    for length in [body, table, text] {
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    let sum = crc(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(MAGIC);
    bytes
}

/// The lengths in a footer.
struct Lengths {
    body: u64,
    table: u64,
    text: u64,
}

impl Lengths {
    fn parse(tail: &[u8], length: u64) -> Result<Self, EntryError> {
        let footer = tail
            .last_chunk::<{ FOOTER_BYTES as usize }>()
            .ok_or(EntryError::Torn)?;
        if &footer[32..] != MAGIC {
            return Err(EntryError::Torn);
        }
        let this = Self {
            body: number(&footer[..8]),
            table: number(&footer[8..16]),
            text: number(&footer[16..24]),
        };
        let fits = this.text <= description::MAX_BYTES as u64
            && this.table == table_of(this.body)
            && this.body.checked_add(this.trailer()) == Some(length);
        fits.then_some(this).ok_or(EntryError::Torn)
    }

    fn trailer(&self) -> u64 {
        self.table.saturating_add(self.text).saturating_add(FOOTER_BYTES)
    }

    /// Table and description of the trailer at the end of `tail`, checked.
    fn check<'a>(&self, tail: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), EntryError> {
        let at = (tail.len() as u64)
            .checked_sub(self.trailer())
            .ok_or(EntryError::Torn)?;
        let (summed, rest) = tail[at as usize..].split_at(self.trailer() as usize - 16);
        if crc(summed) != number(&rest[..8]) {
            return Err(EntryError::Description);
        }
        let (table, rest) = summed.split_at(self.table as usize);
        Ok((table, &rest[..self.text as usize]))
    }
}

fn table_of(body: u64) -> u64 {
    body.div_ceil(Checksums::BLOCK_BYTES).saturating_mul(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Protocol;

    #[test]
    fn the_trailer_of_a_former_version_is_read() {
        let tail = include_bytes!("../../tests/former/0.1.0/trailer");
        let length = 3 + tail.len() as u64;
        let key = StoreKey::new("i".into(), "n".into(), Protocol::Http, &b"k"[..]);
        assert_eq!(begin(tail, length), Ok(3));
        assert_eq!(super::key(tail, length), Ok(Some(key.clone())));
        let read = parse(tail, length, &key).expect("trailer");
        assert_eq!(read.sums, Checksums::of(b"abc"));
        assert_eq!(read.meta.metadata.get("k"), Some("v"));
        assert_eq!(&*read.meta.origin.subject, "s\u{fc}");
    }
}

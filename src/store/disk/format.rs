//! The file of an entry: the body from offset 0 on, page aligned, then a [`trailer`].

use std::fs::File;
use std::io;

use bytes::Bytes;

use crate::store::spool::Checksums;
use crate::store::trailer::{self, Described, TAIL_BYTES};
use crate::store::{Meta, StoreKey, Tenancy};
use crate::sys;

pub(super) use crate::store::trailer::{EntryError, write};

/// Version of the whole directory.
pub(super) const VERSION: u32 = 1;
/// Bodies up to this many bytes are held in memory; larger ones are better off in the page cache.
pub(super) const MAX_MEMORY_BODY_BYTES: u64 = 16 * 1024;
/// Files up to this length are read as a whole: every body that is kept in memory with its trailer.
const MAX_WHOLE_READ_BYTES: u64 = MAX_MEMORY_BODY_BYTES + TAIL_BYTES;

/// A file that cannot be opened as an entry.
#[derive(Debug)]
pub(super) enum EntryOpenError {
    Gone,
    Damaged(EntryError),
    Io(io::Error),
}

impl From<io::Error> for EntryOpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::UnexpectedEof => Self::Damaged(EntryError::Torn),
            io::ErrorKind::InvalidData => Self::Damaged(EntryError::Body),
            _ if sys::is_unreadable(&error) => Self::Damaged(EntryError::Unreadable),
            _ => Self::Io(error),
        }
    }
}

impl From<EntryError> for EntryOpenError {
    fn from(flaw: EntryError) -> Self {
        Self::Damaged(flaw)
    }
}

/// An entry as its file describes it.
#[derive(Debug)]
pub(super) struct ParsedEntry {
    pub(super) meta: Meta,
    pub(super) sums: Checksums,
    /// The body, if the file is so short that it was read as a whole. Not checked yet.
    pub(super) body: Option<Bytes>,
}

/// Blocking: reads the trailer of a file of `length` bytes and holds it against `key`.
pub(super) fn read(file: &File, length: u64, key: &StoreKey) -> Result<ParsedEntry, EntryOpenError> {
    let is_whole = length <= MAX_WHOLE_READ_BYTES;
    let start = if is_whole { 0 } else { length - TAIL_BYTES };
    let (tail, end) = tail(file, start, length)?;
    let Described { meta, sums } = trailer::parse(&tail, length, key)?;
    let body = is_whole.then(|| Bytes::copy_from_slice(&tail[..end as usize]));
    Ok(ParsedEntry { meta, sums, body })
}

/// Blocking: the key of an entry and the checksums of its body, from its file of `length` bytes.
pub(super) fn identify(file: &File, length: u64) -> Result<Option<(StoreKey, Checksums)>, EntryOpenError> {
    let (tail, _) = tail(file, length.saturating_sub(TAIL_BYTES), length)?;
    let Some(key) = trailer::key(&tail, length)? else {
        return Ok(None);
    };
    let sums = trailer::parse(&tail, length, &key)?.sums;
    Ok(Some((key, sums)))
}

/// Blocking: whom an entry belongs to, from its file of `length` bytes; `None` if that does not stand there.
pub(super) fn tenancy(file: &File, length: u64) -> Result<Option<Tenancy>, EntryOpenError> {
    let (tail, _) = tail(file, length.saturating_sub(TAIL_BYTES), length)?;
    Ok(trailer::tenancy(&tail, length)?)
}

/// The end of a file of `length` bytes, from `start` on or from where the body ends, and the latter.
fn tail(file: &File, start: u64, length: u64) -> Result<(Vec<u8>, u64), EntryOpenError> {
    let mut tail = read_from(file, start, length)?;
    let end = trailer::begin(&tail, length)?;
    if end < start {
        tail = read_from(file, end, length)?;
    }
    Ok((tail, end))
}

fn read_from(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (end - start) as usize];
    sys::read_exact_at(file, &mut bytes, start)?;
    Ok(bytes)
}

//! The facts about a committed entry beside its names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::ETag;
use crate::store::journal::{Ulid, millis, next_ulid};

/// An entry as the index has it. Ordered by age: `a < b` if `b` was committed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryRecord {
    /// When it was committed, in milliseconds since 1970.
    pub created: u64,
    /// Names this entry, on all servers; no other one ever has it.
    pub id: Ulid,
    /// Length of the archive in bytes.
    pub size: u64,
    /// The entity tag, as bytes.
    pub tag: [u8; 16],
}

impl EntryRecord {
    /// Length of [`EntryRecord::to_bytes`].
    pub(in crate::cache::actions) const BYTES: usize = 48;

    /// An entry that is committed at this moment. `None` if `etag` is not 32 hex digits, as all of ours are.
    pub fn now(size: u64, etag: &ETag) -> Option<Self> {
        Self::at(SystemTime::now(), size, etag)
    }

    /// An entry that was committed at `stored`, and is named now.
    pub fn at(stored: SystemTime, size: u64, etag: &ETag) -> Option<Self> {
        let text = etag.as_str();
        let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = (digits && text.len() == 32).then(|| u128::from_str_radix(text, 16));
        Some(Self {
            created: millis(stored),
            id: next_ulid(),
            size,
            tag: number?.ok()?.to_be_bytes(),
        })
    }

    /// The form of a record in the ledger and in the journal; numbers are little endian.
    pub(in crate::cache::actions) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.created.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.size.to_le_bytes());
        bytes[32..].copy_from_slice(&self.tag);
        bytes
    }

    pub(in crate::cache::actions) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|nth| bytes[at + nth]));
        let half = |at: usize| u128::from(number(at));
        Self {
            created: number(0),
            id: Ulid(half(16) << 64 | half(8)),
            size: number(24),
            tag: std::array::from_fn(|nth| bytes[32 + nth]),
        }
    }

    /// When it was committed.
    pub fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.created)
    }

    /// The entity tag.
    pub fn etag(&self) -> ETag {
        ETag::new(&format!("{:032x}", u128::from_be_bytes(self.tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::spool::Checksums;

    #[test]
    fn tags_keep_their_text() {
        for body in ["", "a", "b", "abc"] {
            let etag = Checksums::of(body.as_bytes()).etag();
            let record = EntryRecord::now(7, &etag).expect("a tag of ours");
            assert_eq!(record.etag(), etag);
        }
        for strange in ["", "abc", &"g".repeat(32), &format!("+{}", "0".repeat(31))] {
            assert_eq!(EntryRecord::now(7, &ETag::new(strange)), None);
        }
    }

    #[test]
    fn later_records_are_greater() {
        let etag = Checksums::of(b"").etag();
        let records: Vec<_> = (0..100).filter_map(|_| EntryRecord::now(1, &etag)).collect();
        assert!(records.len() == 100 && records.is_sorted());
    }
}

//! The bytes of the ledger.
//!
//! ```text
//! magic      8 bytes
//! line       length of the content 4, CRC-64/NVME of the content 8, content
//! content    kind 1, then
//!   place      issuer, path, version: each its length 4 and its bytes. Numbered from 0 in the file
//!   committed  number of the place 4, created 8, id 16, size 8, tag 16, key
//!   removed    number of the place 4, id 16, key
//!   seen       digest of the namespace 32, cursor 16
//! ```
//!
//! Numbers are little endian.

use std::collections::HashMap;

use crate::cache::actions::entry::{CacheKey, CommittedEntry, EntryRecord, NamespaceId, Version};
use crate::store::Digest;
use crate::store::journal::Ulid;
use crate::store::spool::crc;

pub(super) const MAGIC: &[u8; 8] = b"chachaA1";
/// Length and checksum in front of a line, in bytes.
pub(super) const LINE_HEAD_BYTES: usize = 12;
/// Longest content of a line: far more than keys, versions and namespaces may have.
pub(super) const MAX_CONTENT_BYTES: usize = 1 << 20;

const PLACE_KIND: u8 = 1;
const COMMITTED_KIND: u8 = 2;
const REMOVED_KIND: u8 = 3;
const SEEN_KIND: u8 = 4;

/// A fact that the ledger keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerItem {
    /// An entry was committed.
    Committed(CommittedEntry),
    /// An entry is gone. Only the id of its record counts.
    Removed(CommittedEntry),
    /// The journal of a namespace was read up to this name.
    Seen(Digest, Ulid),
}

/// A line as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LedgerLine {
    Place(NamespaceId, Version),
    LedgerItem(LedgerItem),
}

/// Namespaces and versions. Lines name them by number.
#[derive(Debug, Clone, Default)]
pub(super) struct PlaceTable {
    list: Vec<(NamespaceId, Version)>,
    numbers: HashMap<(Digest, Version), u32>,
}

impl PlaceTable {
    /// The next number stands for these.
    pub(super) fn add(&mut self, namespace: NamespaceId, version: Version) -> u32 {
        let number = self.list.len() as u32;
        let place = (*namespace.digest(), version.clone());
        self.numbers.insert(place, number);
        self.list.push((namespace, version));
        number
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Takes the numbers from `len` on back.
    pub(super) fn truncate(&mut self, len: usize) {
        for (namespace, version) in self.list.drain(len..) {
            self.numbers.remove(&(*namespace.digest(), version));
        }
    }

    /// Appends the line of an item, after one for its place if that has no number yet.
    pub(super) fn encode(&mut self, item: &LedgerItem, bytes: &mut Vec<u8>) {
        match item {
            LedgerItem::Committed(listed) => {
                self.encode_entry(COMMITTED_KIND, listed, &listed.record.to_bytes(), bytes);
            }
            LedgerItem::Removed(listed) => {
                self.encode_entry(REMOVED_KIND, listed, &listed.record.id.0.to_le_bytes(), bytes);
            }
            LedgerItem::Seen(namespace, cursor) => line(bytes, SEEN_KIND, |bytes| {
                bytes.extend_from_slice(namespace.as_bytes());
                bytes.extend_from_slice(&cursor.0.to_le_bytes());
            }),
        }
    }

    fn encode_entry(&mut self, kind: u8, listed: &CommittedEntry, facts: &[u8], bytes: &mut Vec<u8>) {
        let place = self.number(listed, bytes);
        line(bytes, kind, |bytes| {
            bytes.extend_from_slice(&place.to_le_bytes());
            bytes.extend_from_slice(facts);
            bytes.extend_from_slice(listed.key.as_str().as_bytes());
        });
    }

    fn number(&mut self, listed: &CommittedEntry, bytes: &mut Vec<u8>) -> u32 {
        let (namespace, version) = (&listed.namespace, &listed.version);
        // A clone of a version is two words and a count.
        if let Some(number) = self.numbers.get(&(*namespace.digest(), version.clone())) {
            return *number;
        }
        line(bytes, PLACE_KIND, |bytes| {
            for part in [namespace.issuer(), namespace.path(), version.text()] {
                bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
                bytes.extend_from_slice(part.as_bytes());
            }
        });
        self.add(namespace.clone(), version.clone())
    }

    /// Reads the content of a line; `None` if it is none.
    pub(super) fn decode(&self, content: &[u8]) -> Option<LedgerLine> {
        let (kind, rest) = content.split_first()?;
        let item = match *kind {
            PLACE_KIND => return place(rest),
            COMMITTED_KIND => {
                let (number, rest) = rest.split_first_chunk()?;
                let (record, key) = rest.split_first_chunk()?;
                LedgerItem::Committed(self.committed(*number, EntryRecord::from_bytes(record), key)?)
            }
            REMOVED_KIND => {
                let (number, rest) = rest.split_first_chunk()?;
                let (id, key) = rest.split_first_chunk()?;
                let record = EntryRecord {
                    created: 0,
                    id: Ulid(u128::from_le_bytes(*id)),
                    size: 0,
                    tag: [0; 16],
                };
                LedgerItem::Removed(self.committed(*number, record, key)?)
            }
            SEEN_KIND => {
                let (namespace, rest) = rest.split_first_chunk()?;
                let cursor = Ulid(u128::from_le_bytes(*rest.as_array()?));
                LedgerItem::Seen(Digest::new(*namespace), cursor)
            }
            _ => return None,
        };
        Some(LedgerLine::LedgerItem(item))
    }

    fn committed(&self, number: [u8; 4], record: EntryRecord, key: &[u8]) -> Option<CommittedEntry> {
        let (namespace, version) = self.list.get(u32::from_le_bytes(number) as usize)?;
        let key = CacheKey::new(std::str::from_utf8(key).ok()?).ok()?;
        Some(CommittedEntry::new(namespace, version, key, record))
    }
}

fn line(bytes: &mut Vec<u8>, kind: u8, content: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LINE_HEAD_BYTES]);
    bytes.push(kind);
    content(bytes);
    let (head, content) = bytes[start..].split_at_mut(LINE_HEAD_BYTES);
    head[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc(content).to_le_bytes());
}

fn place(mut rest: &[u8]) -> Option<LedgerLine> {
    let mut text = || {
        let (length, more) = rest.split_first_chunk()?;
        let (text, more) = more.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = more;
        std::str::from_utf8(text).ok()
    };
    let (issuer, path, version) = (text()?, text()?, text()?);
    let namespace = NamespaceId::new(issuer.into(), path.into());
    let version = Version::new(version).ok()?;
    rest.is_empty().then_some(LedgerLine::Place(namespace, version))
}

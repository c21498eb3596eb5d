//! The bytes of the ledger.
//!
//! ```text
//! magic      8 bytes
//! line       length of the content 4, CRC-64/NVME of the content 8, content
//! content    kind 1, then tagged fields without a head:
//!   place      issuer, path, version, digest of the tenant if it is known. Numbered from 0 in the file
//!   committed  number of the place, record, key
//!   removed    number of the place, id of the record, key
//!   seen       digest of the namespace, cursor
//! ```
//!
//! Lines of kinds that are not known are skipped, unless the high bit is set. A line with a critical field that is
//! not known is skipped, too: its entry is a miss. What was skipped is gone after a rewrite; the entries have it in
//! their own descriptions. [`super::former`] reads the lines of 0.1.0, also where newer ones follow them.
//!
//! Numbers are little endian.

use std::collections::HashMap;

use crate::cache::actions::entry::{CacheKey, CommittedEntry, EntryRecord, NamespaceId, Version};
use crate::cache::actions::index::size::{arc_bytes, map_bytes, text_bytes};
use crate::store::Digest;
use crate::store::journal::Ulid;
use crate::store::spool::crc;
use crate::store::tagged::{RecordKind, Tag, TaggedError, TaggedReader, TaggedWriter};

pub(super) const MAGIC: &[u8; 8] = b"chachaA2";
/// Length and checksum in front of a line, in bytes.
pub(super) const LINE_HEAD_BYTES: usize = 12;
/// Longest content of a line: far more than keys, versions and namespaces may have.
pub(super) const MAX_CONTENT_BYTES: usize = 1 << 20;

const PLACE_KIND: u8 = 5;
const COMMITTED_KIND: u8 = 6;
const REMOVED_KIND: u8 = 7;
const SEEN_KIND: u8 = 8;
/// Kinds that must be known have it.
const CRITICAL_BIT: u8 = 1 << 7;

const ISSUER: Tag = Tag::new(1);
const PATH: Tag = Tag::new(2);
const VERSION: Tag = Tag::new(3);
/// 4 bytes.
const PLACE: Tag = Tag::new(4);
/// [`EntryRecord::to_bytes`].
const RECORD: Tag = Tag::new(5);
const KEY: Tag = Tag::new(6);
/// 16 bytes, as the cursor.
const ID: Tag = Tag::new(7);
/// 32 bytes.
const NAMESPACE: Tag = Tag::new(8);
const CURSOR: Tag = Tag::new(9);
/// 32 bytes.
const OWNER: Tag = Tag::new(10);

/// The lines have no heads of their own: those of the file are enough.
const LINE: RecordKind = RecordKind {
    magic: *b"CHAl",
    version: 1,
    tags: &[
        ISSUER, PATH, VERSION, PLACE, RECORD, KEY, ID, NAMESPACE, CURSOR, OWNER,
    ],
};

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
    /// Of a later version of this program.
    Skipped,
}

impl LedgerLine {
    /// A place with its tenant.
    fn owned_by(self, owner: Option<Digest>) -> Self {
        match self {
            Self::Place(namespace, version) if owner.is_some() => {
                Self::Place(namespace.owned_by(owner), version)
            }
            other => other,
        }
    }
}

/// What a place points to.
fn place_bytes(namespace: &NamespaceId, version: &Version) -> u64 {
    arc_bytes(NamespaceId::BYTES)
        + text_bytes(namespace.issuer())
        + text_bytes(namespace.path())
        + text_bytes(version.as_str())
}

/// Namespaces and versions. Lines name them by number.
#[derive(Debug, Clone, Default)]
pub(super) struct PlaceTable {
    list: Vec<(NamespaceId, Version)>,
    numbers: HashMap<(Digest, Version), u32>,
    /// Bytes of what all places point to.
    texts: u64,
}

impl PlaceTable {
    /// The next number stands for these.
    pub(super) fn add(&mut self, namespace: NamespaceId, version: Version) -> u32 {
        let number = self.list.len() as u32;
        let place = (*namespace.digest(), version.clone());
        self.numbers.insert(place, number);
        self.texts += place_bytes(&namespace, &version);
        self.list.push((namespace, version));
        number
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Takes the numbers from `len` on back.
    pub(super) fn truncate(&mut self, len: usize) {
        for (namespace, version) in self.list.drain(len..) {
            self.texts -= place_bytes(&namespace, &version);
            self.numbers.remove(&(*namespace.digest(), version));
        }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        let list = self.list.capacity() * size_of::<(NamespaceId, Version)>();
        self.texts + list as u64 + map_bytes(&self.numbers)
    }

    /// Appends the line of an item, after one for its place if that has no number yet.
    pub(super) fn encode(&mut self, item: &LedgerItem, bytes: &mut Vec<u8>) {
        match item {
            LedgerItem::Committed(listed) => {
                self.encode_entry(COMMITTED_KIND, listed, (RECORD, &listed.record.to_bytes()), bytes);
            }
            LedgerItem::Removed(listed) => {
                let id = listed.record.id.0.to_le_bytes();
                self.encode_entry(REMOVED_KIND, listed, (ID, &id), bytes);
            }
            LedgerItem::Seen(namespace, cursor) => {
                let cursor = cursor.0.to_le_bytes();
                line(
                    bytes,
                    SEEN_KIND,
                    &[(NAMESPACE, namespace.as_bytes()), (CURSOR, &cursor)],
                );
            }
        }
    }

    fn encode_entry(&mut self, kind: u8, listed: &CommittedEntry, facts: (Tag, &[u8]), bytes: &mut Vec<u8>) {
        let place = self.number(listed, bytes).to_le_bytes();
        let key = listed.key.as_str().as_bytes();
        line(bytes, kind, &[(PLACE, &place), facts, (KEY, key)]);
    }

    fn number(&mut self, listed: &CommittedEntry, bytes: &mut Vec<u8>) -> u32 {
        let (namespace, version) = (&listed.namespace, &listed.version);
        // A clone of a version is two words and a count.
        if let Some(number) = self.numbers.get(&(*namespace.digest(), version.clone())) {
            return *number;
        }
        let owner = namespace.owner();
        let mut fields = vec![
            (ISSUER, namespace.issuer().as_bytes()),
            (PATH, namespace.path().as_bytes()),
            (VERSION, version.as_str().as_bytes()),
        ];
        fields.extend(owner.as_ref().map(|owner| (OWNER, &owner.as_bytes()[..])));
        line(bytes, PLACE_KIND, &fields);
        self.add(namespace.clone(), version.clone())
    }

    /// Reads the content of a line; `None` if it is none.
    pub(super) fn decode(&self, content: &[u8]) -> Option<LedgerLine> {
        let (kind, rest) = content.split_first()?;
        if !(PLACE_KIND..=SEEN_KIND).contains(kind) {
            return (kind & CRITICAL_BIT == 0).then_some(LedgerLine::Skipped);
        }
        match TaggedReader::bare(&LINE, rest) {
            Ok(line) => self.decode_fields(*kind, &line),
            // A place has a number, so that none can be skipped.
            Err(TaggedError::Newer) if *kind != PLACE_KIND => Some(LedgerLine::Skipped),
            Err(_) => None,
        }
    }

    fn decode_fields(&self, kind: u8, line: &TaggedReader<'_>) -> Option<LedgerLine> {
        let id = |tag| Some(Ulid(u128::from_le_bytes(*line.get(tag)?.as_array()?)));
        if kind == PLACE_KIND {
            let owner = line.get(OWNER).and_then(|owner| owner.as_array());
            let place = place(line.text(ISSUER)?, line.text(PATH)?, line.text(VERSION)?)?;
            return Some(place.owned_by(owner.map(|owner| Digest::new(*owner))));
        }
        let item = if kind == SEEN_KIND {
            LedgerItem::Seen(Digest::new(*line.get(NAMESPACE)?.as_array()?), id(CURSOR)?)
        } else {
            let (number, key) = (*line.get(PLACE)?.as_array()?, line.get(KEY)?);
            match kind {
                COMMITTED_KIND => {
                    let record = EntryRecord::from_bytes(line.get(RECORD)?.as_array()?);
                    LedgerItem::Committed(self.entry(number, record, key)?)
                }
                _ => LedgerItem::Removed(self.entry(number, removed(id(ID)?), key)?),
            }
        };
        Some(LedgerLine::LedgerItem(item))
    }

    /// The entry of a line that names its place by number.
    pub(super) fn entry(&self, number: [u8; 4], record: EntryRecord, key: &[u8]) -> Option<CommittedEntry> {
        let (namespace, version) = self.list.get(u32::from_le_bytes(number) as usize)?;
        let key = CacheKey::new(std::str::from_utf8(key).ok()?).ok()?;
        Some(CommittedEntry::new(namespace, version, key, record))
    }
}

/// The record of an entry that is gone, of which only the id is known.
pub(super) fn removed(id: Ulid) -> EntryRecord {
    EntryRecord {
        created: 0,
        id,
        size: 0,
        tag: [0; 16],
    }
}

/// The line of a place.
pub(super) fn place(issuer: &str, path: &str, version: &str) -> Option<LedgerLine> {
    let namespace = NamespaceId::new(issuer.into(), path.into());
    Some(LedgerLine::Place(namespace, Version::new(version).ok()?))
}

fn line(bytes: &mut Vec<u8>, kind: u8, fields: &[(Tag, &[u8])]) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LINE_HEAD_BYTES]);
    bytes.push(kind);
    let mut writer = TaggedWriter::bare(std::mem::take(bytes));
    for (tag, value) in fields {
        writer.field(*tag, value);
    }
    *bytes = writer.into_bytes();
    let (head, content) = bytes[start..].split_at_mut(LINE_HEAD_BYTES);
    head[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc(content).to_le_bytes());
}

//! The one form of records that must survive: a crash, a restart, another version of this program.
//!
//! ```text
//! magic      4 bytes, which kind of record it is
//! version    1 byte, of that kind; a greater one than is known is refused
//! fields     any number of them: tag 2 bytes, length of the value 4 bytes, value
//! checksum   CRC-64/NVME of everything before, 8 bytes
//! ```
//!
//! Numbers are little endian. A tag that is not known is skipped, and kept for whoever writes the record
//! again ([`UnknownFields`]). With the high bit set it is critical: a record that has it means something
//! else to a program that does not know it, and is refused as one of a newer version.
//! So later versions add fields. A new version of a kind is for what no field can say.
//!
//! A log has magic and version once and a checksum for each line. Its lines are *bare* fields.
//!
//! Tags below 0x4000 belong to the kind of the record. These mean the same in every kind. They are reserved:
//!
//! | tag | value |
//! |---|---|
//! | 0x4001 | tenant that owns the entry |
//! | 0x4002 | group of that tenant |
//! | 0x4003 | rank of the entry among the tenant's own, 1 byte |
//! | 0x4010 to 0x4016 | provenance: run, job, ref, event, commit, time in seconds since 1970, token id |
//! | 0x4020 | end of a lease, in seconds since 1970 |
//! | 0x4021 | holder of that lease |

#[cfg(test)]
mod tests;

use super::crc::crc;
use super::little_endian::number;

/// Magic and version, in bytes.
const HEAD_BYTES: usize = 5;
/// Tag and length in front of a value, in bytes.
const FIELD_HEAD_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;

/// The name of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(u16);

impl Tag {
    const CRITICAL_BIT: u16 = 1 << 15;

    /// A field that a program may skip. `number` is less than 0x8000, which is checked when it is compiled.
    pub(crate) const fn new(number: u16) -> Self {
        assert!(
            number & Self::CRITICAL_BIT == 0,
            "the high bit is for critical tags"
        );
        Self(number)
    }

    /// A field that a program must know to understand the record.
    pub(crate) const fn critical(number: u16) -> Self {
        Self(Self::new(number).0 | Self::CRITICAL_BIT)
    }

    fn is_critical(self) -> bool {
        self.0 & Self::CRITICAL_BIT != 0
    }
}

/// What one kind of record begins with, and what its readers know.
#[derive(Debug)]
pub(crate) struct RecordKind {
    /// Of this kind alone.
    pub(crate) magic: [u8; 4],
    /// The newest one that is known; the first one is 1.
    pub(crate) version: u8,
    /// All tags that are known.
    pub(crate) tags: &'static [Tag],
}

/// Why bytes are not the record that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TaggedError {
    /// It has another magic, or none.
    #[error("it is not a record of this kind")]
    Foreign,
    /// It is torn, its checksum is wrong, or it is longer than the caller allows.
    #[error("the record is damaged")]
    Damaged,
    /// Its version is greater than the known one, or it has a critical field that is not known.
    #[error("the record was written by a newer version of this program")]
    Newer,
}

/// Fields that this program does not know, as they stand in a record; for those who write it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct UnknownFields(Option<Box<[u8]>>);

/// Writes a record.
#[derive(Debug)]
pub(crate) struct TaggedWriter {
    bytes: Vec<u8>,
}

impl TaggedWriter {
    /// Begins a record of a kind.
    pub(crate) fn new(kind: &RecordKind) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&kind.magic);
        bytes.push(kind.version);
        Self { bytes }
    }

    /// Begins bare fields behind `bytes`; they end with [`TaggedWriter::into_bytes`].
    pub(crate) fn bare(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Adds a field. The value has less than 4 GiB: readers bound the whole record.
    pub(crate) fn field(&mut self, tag: Tag, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&tag.0.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// Adds a field with a number of 8 bytes.
    pub(crate) fn number(&mut self, tag: Tag, value: u64) {
        self.field(tag, &value.to_le_bytes());
    }

    /// Adds what [`TaggedReader::unknown`] kept.
    pub(crate) fn unknown(&mut self, fields: &UnknownFields) {
        self.bytes
            .extend_from_slice(fields.0.as_deref().unwrap_or_default());
    }

    /// Ends a record that [`TaggedWriter::new`] began.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let sum = crc(&self.bytes);
        self.bytes.extend_from_slice(&sum.to_le_bytes());
        self.bytes
    }

    /// Ends fields that [`TaggedWriter::bare`] began.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A record that was checked. Takes no memory of its own, whatever the lengths in it claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaggedReader<'a> {
    fields: &'a [u8],
    tags: &'static [Tag],
}

impl<'a> TaggedReader<'a> {
    /// Checks a whole record of at most `longest` bytes.
    ///
    /// # Errors
    /// [`TaggedError`]. What is damaged is never called newer.
    pub(crate) fn open(kind: &RecordKind, bytes: &'a [u8], longest: usize) -> Result<Self, TaggedError> {
        if bytes.get(..kind.magic.len()) != Some(&kind.magic) {
            return Err(TaggedError::Foreign);
        }
        let (summed, sum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(TaggedError::Damaged)?;
        let (head, fields) = summed
            .split_first_chunk::<HEAD_BYTES>()
            .ok_or(TaggedError::Damaged)?;
        if bytes.len() > longest || crc(summed) != u64::from_le_bytes(*sum) {
            return Err(TaggedError::Damaged);
        }
        let [.., version] = *head;
        match version {
            0 => Err(TaggedError::Damaged),
            version if version > kind.version => Err(TaggedError::Newer),
            _ => Self::bare(kind, fields),
        }
    }

    /// Checks bare fields, whose bytes were checked already.
    ///
    /// # Errors
    /// [`TaggedError::Damaged`] and [`TaggedError::Newer`].
    pub(crate) fn bare(kind: &RecordKind, fields: &'a [u8]) -> Result<Self, TaggedError> {
        let (mut rest, mut newer) = (fields, false);
        while !rest.is_empty() {
            let (tag, _, after) = split_field(rest).ok_or(TaggedError::Damaged)?;
            newer |= tag.is_critical() && !kind.tags.contains(&tag);
            rest = after;
        }
        match newer {
            true => Err(TaggedError::Newer),
            false => Ok(Self {
                fields,
                tags: kind.tags,
            }),
        }
    }

    /// The value of the first field with this tag.
    pub(crate) fn get(&self, tag: Tag) -> Option<&'a [u8]> {
        self.all(tag).next()
    }

    /// The number in the first field with this tag; `None` also if it has not 8 bytes.
    pub(crate) fn number(&self, tag: Tag) -> Option<u64> {
        let value = self.get(tag).filter(|value| value.len() == 8)?;
        Some(number(value))
    }

    /// The text in the first field with this tag; `None` also if it is none.
    pub(crate) fn text(&self, tag: Tag) -> Option<&'a str> {
        std::str::from_utf8(self.get(tag)?).ok()
    }

    /// The values of all fields with this tag, in order.
    pub(crate) fn all(&self, tag: Tag) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let same = move |(other, value, _): (Tag, &'a [u8], &'a [u8])| (other == tag).then_some(value);
        self.iter().filter_map(same)
    }

    /// The fields whose tags are not known.
    pub(crate) fn unknown(&self) -> UnknownFields {
        let mut kept = Vec::new();
        for (tag, _, field) in self.iter() {
            if !self.tags.contains(&tag) {
                kept.extend_from_slice(field);
            }
        }
        UnknownFields((!kept.is_empty()).then(|| kept.into()))
    }

    /// Tag, value and whole bytes of each field.
    fn iter(&self) -> impl Iterator<Item = (Tag, &'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let (tag, value, after) = split_field(rest)?;
            let field = &rest[..FIELD_HEAD_BYTES + value.len()];
            rest = after;
            Some((tag, value, field))
        })
    }
}

/// Tag and value of the first field, and what follows it.
fn split_field(bytes: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<FIELD_HEAD_BYTES>()?;
    let [low, high, length @ ..] = *head;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    let (value, after) = rest.split_at_checked(length)?;
    Some((Tag(u16::from_le_bytes([low, high])), value, after))
}

//! Rows of use, and the objects that hold them.
//!
//! ```text
//! object     a tagged record: name and group of the tenant, rows
//! row        size 8, when it was stored 8, when it was used last 8 (milliseconds since 1970), rank 1, canonical key
//! ```

use std::time::SystemTime;

use bytes::Bytes;

use crate::store::journal::millis;
use crate::store::shared::MAX_OBJECT_BYTES;
use crate::store::tagged::{RecordKind, Tag, TaggedError, TaggedReader, TaggedWriter};
use crate::store::tenant_fields::{GROUP, TENANT};
use crate::store::{Meta, Rank, StoreKey, Tenant};

/// May be repeated.
const ROW: Tag = Tag::new(1);
const KIND: RecordKind = RecordKind {
    magic: *b"CHUs",
    version: 1,
    tags: &[TENANT, GROUP, ROW],
};
/// Most bytes of rows in an object: names and checksum need a few KiB.
const MAX_ROWS_BYTES: usize = MAX_OBJECT_BYTES - 24 * 1024;
/// Bytes that the record adds to a row.
const FIELD_BYTES: usize = 6;

/// What is known of one entry in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UseRow {
    pub(super) key: StoreKey,
    /// Bytes of its body.
    pub(super) size: u64,
    /// When it was stored, in milliseconds since 1970, as its description says.
    pub(super) stored: u64,
    /// When it was used last, as far as that was noted.
    pub(super) used: u64,
    pub(super) rank: Rank,
}

impl UseRow {
    /// The entry is used now.
    pub(super) fn new(key: &StoreKey, meta: &Meta, now: SystemTime) -> Self {
        let tenancy = meta.origin.tenancy.as_ref();
        Self {
            key: key.clone(),
            size: meta.size,
            stored: millis(meta.origin.stored),
            used: millis(now),
            rank: tenancy.map_or(Rank::Other, |tenancy| tenancy.rank),
        }
    }

    /// Takes what another row of the same entry knows better.
    pub(super) fn merge(&mut self, other: Self) {
        let used = self.used.max(other.used);
        if other.stored > self.stored {
            *self = other;
        }
        self.used = used;
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        for number in [self.size, self.stored, self.used] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.push(self.rank.number());
        bytes.extend_from_slice(&self.key.canonical());
        bytes
    }

    /// `None` for an entry of a protocol that only a later version knows.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (stored, rest) = rest.split_first_chunk()?;
        let (used, rest) = rest.split_first_chunk()?;
        let (rank, key) = rest.split_first()?;
        Some(Self {
            key: StoreKey::from_canonical(key)?,
            size: u64::from_le_bytes(*size),
            stored: u64::from_le_bytes(*stored),
            used: u64::from_le_bytes(*used),
            rank: Rank::from_number(*rank),
        })
    }
}

/// The contents of the objects that hold these rows of a tenant.
pub(super) fn write(tenant: &Tenant, rows: &[UseRow]) -> Vec<Bytes> {
    let begin = || {
        let mut writer = TaggedWriter::new(&KIND);
        writer.field(TENANT, tenant.name().as_bytes());
        writer.field(GROUP, tenant.group().as_bytes());
        writer
    };
    let (mut objects, mut writer, mut bytes) = (Vec::new(), begin(), 0);
    for row in rows.iter().map(UseRow::encode) {
        if bytes > 0 && bytes + FIELD_BYTES + row.len() > MAX_ROWS_BYTES {
            let full = std::mem::replace(&mut writer, begin());
            objects.push(full.finish().into());
            bytes = 0;
        }
        bytes += FIELD_BYTES + row.len();
        writer.field(ROW, &row);
    }
    if bytes > 0 {
        objects.push(writer.finish().into());
    }
    objects
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// [`TaggedError`].
pub(super) fn read(content: &[u8]) -> Result<(Tenant, Vec<UseRow>), TaggedError> {
    let reader = TaggedReader::open(&KIND, content, MAX_OBJECT_BYTES)?;
    let name = |tag| reader.text(tag).ok_or(TaggedError::Damaged);
    let tenant = Tenant::from_names(name(TENANT)?, name(GROUP)?);
    Ok((tenant, reader.all(ROW).filter_map(UseRow::decode).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Protocol;

    fn row(name: &[u8], stored: u64, used: u64) -> UseRow {
        UseRow {
            key: StoreKey::new("i".into(), "n".into(), Protocol::Http, name),
            size: stored * 10,
            stored,
            used,
            rank: Rank::Pushed,
        }
    }

    #[test]
    fn rows_come_back_from_as_many_objects_as_they_need() {
        let tenant = Tenant::from_names(&"n".repeat(8000), &"g".repeat(8000));
        for (count, objects) in [(0, 0), (1, 1), (200, 6)] {
            let rows: Vec<_> = (0..count)
                .map(|nth| row(&[nth as u8; 1024], nth, nth + 1))
                .collect();
            let written = write(&tenant, &rows);
            assert_eq!(written.len(), objects);
            assert!(written.iter().all(|object| object.len() <= MAX_OBJECT_BYTES));
            let mut read_back = Vec::new();
            for object in &written {
                let (named, mut rows) = read(object).expect("rows");
                assert_eq!(named, tenant);
                read_back.append(&mut rows);
            }
            assert_eq!(read_back, rows);
        }
        let torn = &write(&tenant, &[row(b"k", 1, 1)])[0];
        assert_eq!(read(&torn[..torn.len() - 1]), Err(TaggedError::Damaged));
    }

    #[test]
    fn the_later_version_and_the_later_use_count() {
        for (one, other) in [
            (row(b"k", 1, 9), row(b"k", 2, 5)),
            (row(b"k", 2, 5), row(b"k", 1, 9)),
        ] {
            let mut merged = one;
            merged.merge(other);
            assert_eq!(merged, row(b"k", 2, 9));
        }
    }
}

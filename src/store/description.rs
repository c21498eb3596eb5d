//! The description of an entry as it is stored: in the trailer of a file, in a trailer or a header of an object.
//!
//! It is one [tagged](super::tagged) record. Version 0.1.0 wrote JSON, which begins with a brace and is read still.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::tagged::{RecordKind, Tag, TaggedError, TaggedReader, TaggedWriter};
use super::tenant_fields::{self, GROUP, RANK, TENANT};
use super::{ETag, Meta, Metadata, Origin, StoreKey};

/// The canonical form of the key.
const KEY: Tag = Tag::new(1);
const ISSUER: Tag = Tag::new(2);
const SUBJECT: Tag = Tag::new(3);
/// When the entry was committed, in nanoseconds since 1970.
const STORED: Tag = Tag::new(4);
/// A pair of the metadata: length of the name 4, name, value. May be repeated.
const PAIR: Tag = Tag::new(5);
/// Length of the body. Only where nothing else says it, like the tag.
const SIZE: Tag = Tag::new(6);
/// The entity tag without quotes.
const ETAG: Tag = Tag::new(7);

const KIND: RecordKind = RecordKind {
    magic: *b"CHEn",
    version: 1,
    tags: &[
        KEY, ISSUER, SUBJECT, STORED, PAIR, SIZE, ETAG, TENANT, GROUP, RANK,
    ],
};

/// Longest accepted description in bytes: the longest key and metadata are far below.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The version that the JSON of 0.1.0 names.
const FORMER_FORMAT: u32 = 1;

/// A description as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// The canonical form of the key.
    pub(super) key: Vec<u8>,
    /// Size and tag, if the description has them.
    pub(super) body: Option<(u64, ETag)>,
    pub(super) origin: Origin,
    pub(super) metadata: Metadata,
}

/// Writes down `meta`; size and tag only if `with_body`.
pub(super) fn write(key: &StoreKey, meta: &Meta, with_body: bool) -> Vec<u8> {
    let mut writer = TaggedWriter::new(&KIND);
    writer.field(KEY, &key.canonical());
    writer.field(ISSUER, meta.origin.issuer.as_bytes());
    writer.field(SUBJECT, meta.origin.subject.as_bytes());
    let since = meta.origin.stored.duration_since(UNIX_EPOCH).unwrap_or_default();
    writer.number(STORED, u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    for (name, value) in meta.metadata.iter() {
        // Far below 4 GiB: see `Metadata::MAX_BYTES`.
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes();
        writer.field(PAIR, &[&length, name.as_bytes(), value.as_bytes()].concat());
    }
    tenant_fields::write(&mut writer, meta.origin.tenancy.as_ref());
    if with_body {
        writer.number(SIZE, meta.size);
        writer.field(ETAG, meta.etag.as_str().as_bytes());
    }
    writer.unknown(meta.metadata.unknown());
    writer.finish()
}

/// Reads what [`write()`] or a former version wrote.
///
/// # Errors
/// [`TaggedError`].
pub(super) fn read(bytes: &[u8]) -> Result<Description, TaggedError> {
    if bytes.first() == Some(&b'{') {
        return read_former(bytes).ok_or(TaggedError::Damaged);
    }
    let reader = TaggedReader::open(&KIND, bytes, MAX_BYTES)?;
    read_fields(&reader).ok_or(TaggedError::Damaged)
}

fn read_fields(reader: &TaggedReader<'_>) -> Option<Description> {
    let pair = |value: &[u8]| {
        let (length, rest) = value.split_first_chunk()?;
        let (name, value) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some((text(name)?, text(value)?))
    };
    let pairs: Option<BTreeMap<_, _>> = reader.all(PAIR).map(pair).collect();
    let body = match (reader.number(SIZE), reader.text(ETAG)) {
        (Some(size), Some(etag)) => Some((size, tag(etag)?)),
        _ => None,
    };
    Some(Description {
        key: reader.get(KEY)?.to_vec(),
        body,
        origin: Origin {
            issuer: reader.text(ISSUER)?.into(),
            subject: reader.text(SUBJECT)?.into(),
            stored: moment(reader.number(STORED)?)?,
            tenancy: tenant_fields::read(reader),
        },
        metadata: Metadata::stored(pairs?, reader.unknown()),
    })
}

fn moment(nanos: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}

/// A tag of ours.
fn tag(text: &str) -> Option<ETag> {
    let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| ETag::new(text))
}

/// The JSON of 0.1.0.
#[derive(Deserialize)]
struct FormerDescription {
    format: u32,
    key: String,
    size: Option<u64>,
    etag: Option<String>,
    origin: Origin,
    metadata: BTreeMap<String, String>,
}

fn read_former(json: &[u8]) -> Option<Description> {
    let told: FormerDescription = serde_json::from_slice(json).ok()?;
    let body = match (told.size, told.etag) {
        (Some(size), Some(etag)) => Some((size, tag(&etag)?)),
        _ => None,
    };
    let read = Description {
        key: STANDARD.decode(&told.key).ok()?,
        body,
        origin: told.origin,
        metadata: Metadata::stored(told.metadata, Default::default()),
    };
    (told.format == FORMER_FORMAT).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::spool::Checksums;
    use crate::store::{Protocol, Rank, Tenancy, Tenant};

    fn key() -> StoreKey {
        StoreKey::new("i".into(), "n".into(), Protocol::Http, &b"k"[..])
    }

    fn meta(metadata: Metadata) -> Meta {
        Meta {
            size: 3,
            etag: Checksums::of(b"abc").etag(),
            origin: Origin {
                issuer: "i".into(),
                subject: "s\u{fc}".into(),
                stored: UNIX_EPOCH + Duration::new(7, 8),
                tenancy: None,
            },
            metadata,
        }
    }

    fn pairs() -> Metadata {
        let mut pairs = Metadata::default();
        pairs.insert("k", "v").expect("short");
        pairs.insert("", "\u{1f980}\n").expect("short");
        pairs
    }

    #[test]
    fn descriptions_come_back_as_they_were_written() {
        let meta = meta(pairs());
        for with_body in [true, false] {
            let read = read(&write(&key(), &meta, with_body)).expect("description");
            assert_eq!(read.key, key().canonical());
            assert_eq!(read.body, with_body.then(|| (3, meta.etag.clone())));
            assert_eq!((read.origin, read.metadata), (meta.origin.clone(), pairs()));
        }
    }

    #[test]
    fn an_entry_stays_with_its_tenant() {
        let tenant = Tenant::new("https://issuer.test", "42", Some("7"));
        let mut meta = meta(pairs());
        meta.origin.tenancy = tenant.map(|tenant| Tenancy {
            tenant,
            rank: Rank::Pushed,
        });
        let told = read(&write(&key(), &meta, false)).expect("description");
        assert_eq!(
            (told.origin, told.metadata),
            (meta.origin, pairs()),
            "known, and so not kept twice"
        );
    }

    #[test]
    fn what_a_later_version_adds_passes_from_tier_to_tier() {
        const RUN: Tag = Tag::new(0x4010);
        let mut later = TaggedWriter::bare(write(&key(), &meta(pairs()), true));
        later.field(RUN, b"77.1");
        let mut bytes = later.into_bytes();
        // The field goes in front of the checksum.
        let sum_at = bytes.len() - 10 - 8;
        bytes.drain(sum_at..sum_at + 8);
        let sum = crate::store::spool::crc(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        let told = read(&bytes).expect("the field can be skipped");
        let again = write(&key(), &meta(told.metadata), false);
        let reader = TaggedReader::open(&KIND, &again, MAX_BYTES).expect("description");
        assert_eq!(reader.get(RUN), Some(&b"77.1"[..]));
    }

    #[test]
    fn the_json_of_a_former_version_is_read() {
        let header = include_bytes!("../../tests/former/0.1.0/inline");
        let read = read(&STANDARD.decode(header).expect("base64")).expect("description");
        let mut pairs = Metadata::default();
        pairs.insert("k", "v").expect("short");
        let meta = meta(pairs);
        assert_eq!(read.key, key().canonical());
        assert_eq!(read.body, Some((3, meta.etag)));
        assert_eq!((read.origin, read.metadata), (meta.origin, meta.metadata));
        let later = br#"{"format":2,"key":"","origin":{"issuer":"","subject":"","stored":{"secs_since_epoch":0,"nanos_since_epoch":0}},"metadata":{}}"#;
        assert_eq!(super::read(later), Err(TaggedError::Damaged));
    }
}

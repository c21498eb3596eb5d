//! The answer of a peer that is asked for an entry, and how the description of the entry travels.

use std::fmt;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::store::tagged::{RecordKind, Tag, TaggedReader, TaggedWriter};
use crate::store::tenant_fields::{self, GROUP, RANK, TENANT};
use crate::store::{ETag, Meta, Metadata, Origin};

/// A peer gives what waits there on this path. The statement holds the key.
pub const ENTRY_PATH: &str = "/_chacha/peer/entry";

/// The answer of a peer to a request for an entry.
pub struct PeerAnswer {
    /// 200 and 206: the entry; 410: deleted; 404: the bucket knows.
    pub status: u16,
    /// The description ([`encode_meta`]), with the entry.
    pub meta: Option<Vec<u8>>,
    /// The bytes.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

impl fmt::Debug for PeerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerAnswer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

const ETAG: Tag = Tag::new(1);
const SIZE: Tag = Tag::new(2);
const ISSUER: Tag = Tag::new(3);
const SUBJECT: Tag = Tag::new(4);
/// Seconds since 1970.
const STORED: Tag = Tag::new(5);
const NAME: Tag = Tag::new(6);
const VALUE: Tag = Tag::new(7);
const KIND: RecordKind = RecordKind {
    magic: *b"CPEM",
    version: 1,
    tags: &[
        ETAG, SIZE, ISSUER, SUBJECT, STORED, NAME, VALUE, TENANT, GROUP, RANK,
    ],
};
const MAX_META_BYTES: usize = 64 * 1024;

/// A description for a peer.
pub fn encode_meta(meta: &Meta) -> Vec<u8> {
    let mut writer = TaggedWriter::new(&KIND);
    writer.field(ETAG, meta.etag.as_str().as_bytes());
    writer.number(SIZE, meta.size);
    writer.field(ISSUER, meta.origin.issuer.as_bytes());
    writer.field(SUBJECT, meta.origin.subject.as_bytes());
    let stored = meta.origin.stored.duration_since(UNIX_EPOCH).unwrap_or_default();
    writer.number(STORED, stored.as_secs());
    tenant_fields::write(&mut writer, meta.origin.tenancy.as_ref());
    for (name, value) in meta.metadata.iter() {
        writer.field(NAME, name.as_bytes());
        writer.field(VALUE, value.as_bytes());
    }
    writer.finish()
}

/// Reads [`encode_meta`]; `None` if it is something else.
pub(super) fn decode_meta(bytes: &[u8]) -> Option<Meta> {
    let reader = TaggedReader::open(&KIND, bytes, MAX_META_BYTES).ok()?;
    let mut metadata = Metadata::default();
    let text = |bytes| std::str::from_utf8(bytes).ok();
    for (name, value) in reader.all(NAME).zip(reader.all(VALUE)) {
        metadata.insert(text(name)?, text(value)?).ok()?;
    }
    Some(Meta {
        size: reader.number(SIZE)?,
        etag: ETag::new(reader.text(ETAG)?),
        origin: Origin {
            issuer: reader.text(ISSUER)?.into(),
            subject: reader.text(SUBJECT)?.into(),
            stored: UNIX_EPOCH.checked_add(Duration::from_secs(reader.number(STORED)?))?,
            tenancy: tenant_fields::read(&reader),
        },
        metadata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Rank, Tenancy, Tenant};

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let mut metadata = Metadata::default();
        for (name, value) in [("a", "1"), ("b", "\u{e4}")] {
            metadata.insert(name, value).unwrap();
        }
        let tenant = Tenant::new("https://issuer.test", "42", None);
        let meta = Meta {
            size: 7,
            etag: ETag::new("0123456789abcdef0123456789abcdef"),
            origin: Origin {
                issuer: "https://issuer.test".into(),
                subject: "repo:a/b".into(),
                stored: UNIX_EPOCH + Duration::from_secs(9),
                tenancy: tenant.map(|tenant| Tenancy {
                    tenant,
                    rank: Rank::Protected,
                }),
            },
            metadata,
        };
        let bytes = encode_meta(&meta);
        assert_eq!(decode_meta(&bytes), Some(meta));
        assert_eq!(decode_meta(&bytes[1..]), None);
    }
}

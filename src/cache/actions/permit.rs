//! The permission in a URL. [`crate::auth::Sealer`] seals it, so that only servers with the same key can read
//! tenants and keys in it.

use super::UploadId;
use crate::store::{Asker, ETag, StoreKey};

/// The permission of an opened ticket: one entry or one upload, in one direction.
#[derive(Debug, Clone)]
pub enum Permission {
    /// To read one version of one entry.
    Read(ReadPermit),
    /// To send the body of one upload.
    Write(UploadId),
}

/// See [`Permission::Read`].
#[derive(Debug, Clone)]
pub struct ReadPermit {
    pub(super) key: StoreKey,
    pub(super) etag: ETag,
}

/// First byte of an encoded permission to read.
const READ_KIND: u8 = b'r';
/// The same with whose turn it is behind it, in 8 bytes.
const ASKED_READ_KIND: u8 = b'a';
/// First byte of an encoded permission to write.
const WRITE_KIND: u8 = b'w';

impl Permission {
    /// The bytes to be sealed.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Write(id) => [&[WRITE_KIND][..], &id.get().to_be_bytes()].concat(),
            Self::Read(ReadPermit { key, etag }) => {
                let tag = etag.as_str().as_bytes();
                // A tag has 32 characters.
                let length = u8::try_from(tag.len()).unwrap_or(u8::MAX);
                let asker = key.asker().number().to_be_bytes();
                [&[ASKED_READ_KIND][..], &asker, &[length], tag, &key.canonical()].concat()
            }
        }
    }

    /// Reads what was sealed; `None` if another version of this server wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            WRITE_KIND => UploadId::new(u64::from_be_bytes(rest.try_into().ok()?)).map(Self::Write),
            READ_KIND => decode_read(rest, Asker::SERVER),
            ASKED_READ_KIND => {
                let (asker, rest) = rest.split_first_chunk()?;
                decode_read(rest, Asker::from_number(u64::from_be_bytes(*asker)))
            }
            _ => None,
        }
    }
}

fn decode_read(bytes: &[u8], asker: Asker) -> Option<Permission> {
    let (length, rest) = bytes.split_first()?;
    let (tag, key) = rest.split_at_checked(usize::from(*length))?;
    Some(Permission::Read(ReadPermit {
        etag: ETag::new(std::str::from_utf8(tag).ok()?),
        key: StoreKey::from_canonical(key)?.asked_by(asker),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Protocol;

    #[test]
    fn what_was_sealed_is_read_back() {
        let key = StoreKey::new(
            "https://issuer.test".into(),
            "a/b".into(),
            Protocol::Gha,
            "k".as_bytes(),
        )
        .with_version("v".into())
        .asked_by(Asker::from_number(7));
        let etag = ETag::new("0123456789abcdef0123456789abcdef");
        let permit = Permission::Read(ReadPermit {
            key: key.clone(),
            etag: etag.clone(),
        });
        let bytes = permit.encode();
        let Some(Permission::Read(read)) = Permission::decode(&bytes) else {
            panic!("a read permit");
        };
        assert_eq!(read.key.asker(), key.asker());
        assert_eq!((read.key, read.etag), (key, etag));
        let id = UploadId::new(77).expect("in range");
        let bytes = Permission::Write(id).encode();
        assert!(matches!(Permission::decode(&bytes), Some(Permission::Write(found)) if found == id));
    }

    #[test]
    fn a_link_that_was_sealed_before_tenants_took_turns_is_read() {
        let key = StoreKey::new("i".into(), "n".into(), Protocol::Gha, &b"k"[..]);
        let bytes = [b"r\x03tag", &key.canonical()[..]].concat();
        let Some(Permission::Read(read)) = Permission::decode(&bytes) else {
            panic!("a read permit");
        };
        assert_eq!((read.key.asker(), read.etag.as_str()), (Asker::SERVER, "tag"));
        assert_eq!(read.key, key);
    }

    #[test]
    fn anything_else_is_refused() {
        for bytes in [
            &b""[..],
            b"r",
            b"w",
            b"x123",
            b"w\0\0\0\0\0\0\0\0",
            b"r\x20short",
            b"r\0garbage",
            b"a1234567",
            b"a12345678\x20short",
        ] {
            assert!(Permission::decode(bytes).is_none(), "{bytes:?}");
        }
    }
}

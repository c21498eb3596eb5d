//! The permission in a URL. [`crate::auth::Sealer`] seals it, so that only servers with the same key can read
//! tenants and keys in it.

use super::UploadId;
use crate::store::{ETag, StoreKey};

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
                [&[READ_KIND, length][..], tag, &key.canonical()].concat()
            }
        }
    }

    /// Reads what was sealed; `None` if another version of this server wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            WRITE_KIND => UploadId::new(u64::from_be_bytes(rest.try_into().ok()?)).map(Self::Write),
            READ_KIND => {
                let (length, rest) = rest.split_first()?;
                let (tag, key) = rest.split_at_checked(usize::from(*length))?;
                Some(Self::Read(ReadPermit {
                    etag: ETag::new(std::str::from_utf8(tag).ok()?),
                    key: StoreKey::from_canonical(key)?,
                }))
            }
            _ => None,
        }
    }
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
        .with_version("v".into());
        let etag = ETag::new("0123456789abcdef0123456789abcdef");
        let permit = Permission::Read(ReadPermit {
            key: key.clone(),
            etag: etag.clone(),
        });
        let bytes = permit.encode();
        let Some(Permission::Read(read)) = Permission::decode(&bytes) else {
            panic!("a read permit");
        };
        assert_eq!((read.key, read.etag), (key, etag));
        let id = UploadId::new(77).expect("in range");
        let bytes = Permission::Write(id).encode();
        assert!(matches!(Permission::decode(&bytes), Some(Permission::Write(found)) if found == id));
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
        ] {
            assert!(Permission::decode(bytes).is_none(), "{bytes:?}");
        }
    }
}

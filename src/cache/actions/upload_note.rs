//! The note of an upload: what must be known of it to go on after a restart.

use std::sync::Arc;

use super::entry::{CommittedEntry, EntryRecord, NamespaceId};
use super::parts;
use super::{CacheKey, Error, Result, Version};
use crate::auth::{Identity, TokenDigest};
use crate::store::StoreKey;

/// Whose upload it is, and what entry it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UploadNote {
    /// The namespace of the entry that it will be.
    pub(super) namespace: NamespaceId,
    pub(super) version: Version,
    pub(super) key: CacheKey,
    /// Its key in the tiers, made of namespace, version and key.
    pub(super) name: StoreKey,
    /// The label of the namespace, for counting and for the log.
    pub(super) label: Arc<str>,
    /// The subject of the token that began the upload, for the origin of the entry.
    pub(super) subject: Arc<str>,
    /// The digest of the token that began the upload.
    pub(super) holder: [u8; 32],
}

/// First byte of an encoded note.
const NOTE_FORMAT: u8 = 1;

impl UploadNote {
    /// The note of an upload that `caller` begins or ends.
    ///
    /// # Errors
    /// [`Error::WriteDenied`].
    pub(super) fn of(caller: &Identity, key: &CacheKey, version: &Version) -> Result<Self> {
        if !caller.may_write {
            return Err(Error::WriteDenied);
        }
        let writable = caller.scope.writable();
        let namespace = NamespaceId::of(writable);
        Ok(Self {
            name: namespace.store_key(version, key),
            namespace,
            version: version.clone(),
            key: key.clone(),
            label: Arc::clone(writable.label()),
            subject: Arc::clone(&caller.subject),
            holder: *caller.token.as_bytes(),
        })
    }

    /// Whether this upload of key and version was begun with this token.
    pub(super) fn was_begun_with(&self, token: &TokenDigest, key: &CacheKey, version: &Version) -> bool {
        self.holder == *token.as_bytes() && self.key == *key && self.version == *version
    }

    /// The entry as the catalog has it.
    pub(super) fn committed(&self, record: EntryRecord) -> CommittedEntry {
        CommittedEntry::new(&self.namespace, &self.version, self.key.clone(), record)
    }

    /// The bytes that are kept: the format, then every part behind its length (4 bytes, big endian).
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![NOTE_FORMAT];
        let texts = [
            self.namespace.issuer(),
            self.namespace.path(),
            self.version.text(),
            self.key.text(),
            &self.label,
            &self.subject,
        ];
        for text in texts {
            parts::push(&mut bytes, text.as_bytes());
        }
        parts::push(&mut bytes, &self.holder);
        bytes
    }

    /// `None` if another version of this server wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (format, mut rest) = bytes.split_first()?;
        (*format == NOTE_FORMAT).then_some(())?;
        let mut text = || parts::take_text(&mut rest);
        let namespace = NamespaceId::new(text()?.into(), text()?.into());
        let version = Version::new(text()?).ok()?;
        let key = CacheKey::new(text()?).ok()?;
        let (label, subject) = (text()?.into(), text()?.into());
        Some(Self {
            name: namespace.store_key(&version, &key),
            label,
            subject,
            holder: parts::take(&mut rest)?.try_into().ok()?,
            namespace,
            version,
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_survives_a_restart() {
        let namespace = NamespaceId::new("https://issuer.test".into(), "ns".into());
        let version = Version::new("v").expect("version");
        let key = CacheKey::new("Linux-ä").expect("key");
        let note = UploadNote {
            name: namespace.store_key(&version, &key),
            namespace,
            version,
            key,
            label: "0123456789ab".into(),
            subject: "repo:a/b".into(),
            holder: [7; 32],
        };
        let bytes = note.encode();
        assert_eq!(UploadNote::decode(&bytes), Some(note));
        for end in 0..bytes.len() {
            assert_eq!(UploadNote::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(UploadNote::decode(&[&[9], &bytes[1..]].concat()), None);
    }
}

//! What must be known of an upload to go on with it after a restart.

use std::sync::Arc;

use super::entry::{CommittedEntry, EntryRecord, NamespaceId};
use super::{CacheKey, Version};
use crate::store::StoreKey;

/// Whose upload it is, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// The namespace of the entry that it will be.
    pub(super) namespace: NamespaceId,
    /// Its version.
    pub(super) version: Version,
    /// Its key.
    pub(super) key: CacheKey,
    /// Its name in the tiers, made of these three.
    pub(super) name: StoreKey,
    /// The label of its namespace, for counting and for the log.
    pub(super) label: Arc<str>,
    /// Of the token that began it, for the origin of the entry.
    pub(super) subject: Arc<str>,
    /// The digest of the token that began it.
    pub(super) holder: [u8; 32],
}

/// The form of the note.
const FORMAT: u8 = 1;

impl Note {
    /// The entry as the catalog has it.
    pub(super) fn committed(&self, record: EntryRecord) -> CommittedEntry {
        CommittedEntry {
            namespace: self.namespace.clone(),
            version: self.version.clone(),
            key: self.key.clone(),
            record,
        }
    }

    /// The bytes that are kept: the form, then every part with its length (4 bytes, big endian).
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        let texts = [
            self.namespace.issuer(),
            self.namespace.path(),
            self.version.text(),
            self.key.text(),
            &self.label,
            &self.subject,
        ];
        for part in texts
            .into_iter()
            .map(|text| text.as_bytes())
            .chain([&self.holder[..]])
        {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// `None` if another version of this server wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (form, mut rest) = bytes.split_first()?;
        let mut part = || -> Option<&[u8]> {
            let (length, more) = rest.split_first_chunk::<4>()?;
            let (part, more) = more.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = more;
            Some(part)
        };
        (*form == FORMAT).then_some(())?;
        let mut text = || std::str::from_utf8(part()?).ok();
        let namespace = NamespaceId::new(text()?.into(), text()?.into());
        let version = Version::new(text()?).ok()?;
        let key = CacheKey::new(text()?).ok()?;
        Some(Self {
            name: namespace.store_key(&version, &key),
            label: text()?.into(),
            subject: text()?.into(),
            holder: part()?.try_into().ok()?,
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
        let note = Note {
            name: namespace.store_key(&version, &key),
            namespace,
            version,
            key,
            label: "0123456789ab".into(),
            subject: "repo:a/b".into(),
            holder: [7; 32],
        };
        let bytes = note.encode();
        assert_eq!(Note::decode(&bytes), Some(note));
        for end in 0..bytes.len() {
            assert_eq!(Note::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Note::decode(&[&[9], &bytes[1..]].concat()), None);
    }
}

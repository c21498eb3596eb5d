//! A record of the journal: an entry without its namespace, which the stream names.
//!
//! ```text
//! format 1, record 48, length of the version 2, version, key
//! ```

use crate::cache::actions::entry::{CacheKey, CommittedEntry, EntryRecord, NamespaceId, Version};

/// First byte of a record.
const RECORD_FORMAT: u8 = 1;

pub(in crate::cache::actions) fn encode(entry: &CommittedEntry) -> Vec<u8> {
    let (version, key) = (entry.version.as_str(), entry.key.as_str());
    let mut bytes = Vec::with_capacity(3 + EntryRecord::BYTES + version.len() + key.len());
    bytes.push(RECORD_FORMAT);
    bytes.extend_from_slice(&entry.record.to_bytes());
    // At most `Version::MAX_BYTES`.
    bytes.extend_from_slice(&(version.len() as u16).to_le_bytes());
    bytes.extend_from_slice(version.as_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// `None` if the bytes are no record, or one of a later version of this program.
pub(in crate::cache::actions) fn decode(namespace: &NamespaceId, bytes: &[u8]) -> Option<CommittedEntry> {
    let (format, rest) = bytes.split_first()?;
    let (record, rest) = rest.split_first_chunk::<{ EntryRecord::BYTES }>()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (version, key) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    if *format != RECORD_FORMAT {
        return None;
    }
    Some(CommittedEntry {
        namespace: namespace.clone(),
        version: Version::new(text(version)?).ok()?,
        key: CacheKey::new(text(key)?).ok()?,
        record: EntryRecord::from_bytes(record),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::next_ulid;

    #[test]
    fn entries_are_read_as_they_were_told() {
        let namespace = NamespaceId::new("https://issuer".into(), "tenant".into());
        for (version, key) in [
            ("v".repeat(64), "k".into()),
            ("\u{e4}".into(), "\u{1f600}".repeat(256)),
        ] {
            let entry = CommittedEntry {
                namespace: namespace.clone(),
                version: Version::new(&version).expect("version"),
                key: CacheKey::new(&key).expect("key"),
                record: EntryRecord {
                    created: u64::MAX - 5,
                    id: next_ulid(),
                    size: 1 << 60,
                    tag: *b"0123456789abcdef",
                },
            };
            let bytes = encode(&entry);
            assert_eq!(decode(&namespace, &bytes), Some(entry));
            for end in 0..bytes.len() - key.len() + 1 {
                assert_eq!(decode(&namespace, &bytes[..end]), None, "{end}");
            }
            let later = [&[RECORD_FORMAT + 1], &bytes[1..]].concat();
            assert_eq!(decode(&namespace, &later), None);
        }
    }
}

//! The note of a commit: the entry, with its namespace in front.
//!
//! ```text
//! length of the issuer 4, issuer, length of the path 4, path, record of the journal
//! ```

use async_trait::async_trait;
use bytes::Bytes;

use super::{Catalog, journal_record};
use crate::cache::actions::entry::{CommittedEntry, NamespaceId};
use crate::cache::actions::parts;
use crate::cache::notes::{Note, NoteKind, NoteSink};
use crate::cache::peers::ServerId;

/// The note that tells the other servers of an entry.
pub(super) fn note(entry: &CommittedEntry) -> Note {
    Note {
        kind: NoteKind::COMMITTED,
        body: encode(entry).into(),
    }
}

/// Look-ups find the entries of other servers from now on.
#[async_trait]
impl NoteSink for Catalog {
    fn kind(&self) -> NoteKind {
        NoteKind::COMMITTED
    }

    async fn take(&self, _sender: ServerId, bodies: Vec<Bytes>) {
        for entry in bodies.iter().filter_map(|body| decode(body)) {
            self.learn(entry).await;
        }
    }
}

fn encode(entry: &CommittedEntry) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [entry.namespace.issuer(), entry.namespace.path()] {
        parts::push(&mut bytes, part.as_bytes());
    }
    bytes.extend_from_slice(&journal_record::encode(entry));
    bytes
}

/// `None` if another version of this server wrote it, or if the bytes are no note of a commit.
fn decode(mut bytes: &[u8]) -> Option<CommittedEntry> {
    let rest = &mut bytes;
    let (issuer, path) = (parts::take_text(rest)?, parts::take_text(rest)?);
    let namespace = NamespaceId::new(issuer.into(), path.into());
    journal_record::decode(&namespace, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::actions::entry::EntryRecord;
    use crate::cache::actions::{CacheKey, Version};
    use crate::store::journal::next_ulid;

    fn entry(path: &str, key: &str) -> CommittedEntry {
        CommittedEntry {
            namespace: NamespaceId::new("https://issuer.test".into(), path.into()),
            version: Version::new("v").expect("version"),
            key: CacheKey::new(key).expect("key"),
            record: EntryRecord {
                created: 7,
                id: next_ulid(),
                size: 3,
                tag: *b"0123456789abcdef",
            },
        }
    }

    #[test]
    fn a_note_says_the_whole_entry() {
        for entry in [entry("", "k"), entry(&"p".repeat(4096), &"\u{1f600}".repeat(256))] {
            let note = note(&entry);
            assert_eq!(decode(&note.body), Some(entry));
        }
    }

    #[test]
    fn what_is_no_note_is_none() {
        let bytes = encode(&entry("path", "k"));
        for end in 0..bytes.len() - 1 {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
    }
}

//! The record of a key: what this server was about to do with it, so that a crash leaves no doubt.
//!
//! A key has one at most, and none when both tiers agree. See `docs/design/tiers.md`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::tagged::{RecordKind, Tag, TaggedError, TaggedReader, TaggedWriter};
use crate::store::{ETag, StoreKey};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyRecord {
    pub(super) key: StoreKey,
    pub(super) state: KeyState,
    /// Since when.
    pub(super) since: SystemTime,
}

/// What is under way with a key. It was written before its first step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyState {
    /// A change of the remote tier, after which the disk follows. Until then the local copy is in doubt.
    Committing,
    /// A version of the disk that the remote tier must get.
    Uploading(Intent),
    /// The key goes from both tiers. It is a miss from now on.
    Deleting,
}

/// The version that was about to be put on the disk, and what holds if it never got there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intent {
    /// The tag that is meant; not known of what version 0.1.0 left.
    pub(super) etag: Option<ETag>,
    /// Length of the body in bytes.
    pub(super) size: u64,
    /// The generation of the local copy before, 0 if there was none: the version that is meant has a greater one.
    pub(super) after: u64,
    /// Whether it must not replace what another server has stored.
    pub(super) first: bool,
    pub(super) former: Former,
}

/// What waited before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Former {
    /// Both tiers agreed.
    Nothing,
    /// The upload of the former version, which was answered.
    Upload { first: bool, size: u64 },
    /// A delete, which was answered.
    Delete,
}

const STATE: Tag = Tag::critical(1);
const KEY: Tag = Tag::new(2);
/// Microseconds since 1970.
const SINCE: Tag = Tag::new(3);
const ETAG: Tag = Tag::new(4);
const SIZE: Tag = Tag::new(5);
const AFTER: Tag = Tag::critical(6);
/// There if the version must not replace another one.
const FIRST: Tag = Tag::critical(7);
const FORMER: Tag = Tag::critical(8);
const FORMER_SIZE: Tag = Tag::new(9);

const KIND: RecordKind = RecordKind {
    magic: *b"chKS",
    version: 1,
    tags: &[STATE, KEY, SINCE, ETAG, SIZE, AFTER, FIRST, FORMER, FORMER_SIZE],
};
/// The longest record in bytes: a key has some KiB at most.
const MAX_BYTES: usize = 1 << 20;

const COMMITTING: u64 = 1;
const UPLOADING: u64 = 2;
const DELETING: u64 = 3;

const FORMER_UPLOAD: u64 = 1;
const FORMER_FIRST: u64 = 2;
const FORMER_DELETE: u64 = 3;

impl KeyRecord {
    pub(super) fn new(key: &StoreKey, state: KeyState) -> Self {
        Self {
            key: key.clone(),
            state,
            since: SystemTime::now(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = TaggedWriter::new(&KIND);
        writer.field(KEY, &self.key.canonical());
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        writer.number(SINCE, since.as_micros() as u64);
        match &self.state {
            KeyState::Committing => writer.number(STATE, COMMITTING),
            KeyState::Deleting => writer.number(STATE, DELETING),
            KeyState::Uploading(intent) => {
                writer.number(STATE, UPLOADING);
                intent.encode(&mut writer);
            }
        }
        writer.finish()
    }

    /// # Errors
    /// [`TaggedError`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, TaggedError> {
        let fields = TaggedReader::open(&KIND, bytes, MAX_BYTES)?;
        let key = fields.get(KEY).and_then(StoreKey::from_canonical);
        let since = Duration::from_micros(fields.number(SINCE).unwrap_or(0));
        let state = match fields.number(STATE) {
            Some(COMMITTING) => KeyState::Committing,
            Some(DELETING) => KeyState::Deleting,
            Some(UPLOADING) => KeyState::Uploading(Intent::decode(&fields)?),
            Some(_) => return Err(TaggedError::Newer),
            None => return Err(TaggedError::Damaged),
        };
        Ok(Self {
            key: key.ok_or(TaggedError::Damaged)?,
            state,
            since: UNIX_EPOCH + since,
        })
    }
}

impl Intent {
    fn encode(&self, writer: &mut TaggedWriter) {
        if let Some(etag) = &self.etag {
            writer.field(ETAG, etag.as_str().as_bytes());
        }
        writer.number(SIZE, self.size);
        writer.number(AFTER, self.after);
        if self.first {
            writer.number(FIRST, 1);
        }
        match self.former {
            Former::Nothing => {}
            Former::Delete => writer.number(FORMER, FORMER_DELETE),
            Former::Upload { first, size } => {
                writer.number(FORMER, if first { FORMER_FIRST } else { FORMER_UPLOAD });
                writer.number(FORMER_SIZE, size);
            }
        }
    }

    fn decode(fields: &TaggedReader<'_>) -> Result<Self, TaggedError> {
        let size = fields.number(FORMER_SIZE).unwrap_or(0);
        let former = match fields.number(FORMER) {
            None => Former::Nothing,
            Some(FORMER_DELETE) => Former::Delete,
            Some(FORMER_UPLOAD) => Former::Upload { first: false, size },
            Some(FORMER_FIRST) => Former::Upload { first: true, size },
            Some(_) => return Err(TaggedError::Newer),
        };
        Ok(Self {
            etag: fields.text(ETAG).map(ETag::new),
            size: fields.number(SIZE).unwrap_or(0),
            after: fields.number(AFTER).ok_or(TaggedError::Damaged)?,
            first: fields.get(FIRST).is_some(),
            former,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Protocol;

    fn states() -> Vec<KeyState> {
        let mut states = vec![KeyState::Committing, KeyState::Deleting];
        for first in [false, true] {
            for former in [Former::Nothing, Former::Delete, Former::Upload { first, size: 7 }] {
                states.push(KeyState::Uploading(Intent {
                    etag: first.then(|| ETag::new("00ff")),
                    size: 1 << 40,
                    after: 9,
                    first,
                    former,
                }));
            }
        }
        states
    }

    #[test]
    fn what_was_written_is_read_and_what_is_torn_is_told() {
        let key = StoreKey::new("issuer".into(), "ns".into(), Protocol::Gha, *b"key\xff");
        let key = key.with_version("version".into());
        for state in states() {
            let record = KeyRecord {
                since: UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001),
                ..KeyRecord::new(&key, state)
            };
            let bytes = record.encode();
            assert_eq!(KeyRecord::decode(&bytes), Ok(record));
            for end in 0..bytes.len() {
                assert!(KeyRecord::decode(&bytes[..end]).is_err(), "{end}");
            }
        }
    }
}

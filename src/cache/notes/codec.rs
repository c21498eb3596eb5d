//! The form of notes: sealed, one or several in a message.
//!
//! ```text
//! notes/<ULID>.<base64url of the message>    an empty object
//! notes/<ULID>                               the message is the object
//! ```
//!
//! The time of the ULID is the bucket's. A message is a record ([`crate::store::tagged`]) that is sealed for its place: a name of the
//! log, or the way to a peer. Its fields: 1 the sender, and for each note 2, whose value is its kind (2 bytes) and body.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::{Note, NoteKind};
use crate::cache::KeyRing;
use crate::cache::peers::ServerId;
use crate::store::journal::{Ulid, millis, parse_ulid, ulid_at};
use crate::store::shared::MAX_OBJECT_BYTES;
use crate::store::tagged::{RecordKind, Tag, TaggedReader, TaggedWriter};

/// Names of notes begin with this.
pub(super) const PREFIX: &str = "notes/";
/// The context of a message that goes to a peer.
pub(super) const TOLD: &[u8] = b"chacha told notes 1";
const LOGGED: &[u8] = b"chacha logged notes 1";

const SENDER: Tag = Tag::new(1);
const NOTE: Tag = Tag::new(2);
const KIND: RecordKind = RecordKind {
    magic: *b"CNTS",
    version: 1,
    tags: &[SENDER, NOTE],
};

/// A name of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoteName {
    pub(super) id: Ulid,
    /// The message, if the name holds it.
    pub(super) message: Option<Bytes>,
}

/// A sealed message.
pub(super) fn seal(keys: &KeyRing, context: &[u8], sender: ServerId, notes: &[Note]) -> Vec<u8> {
    let mut writer = TaggedWriter::new(&KIND);
    writer.number(SENDER, sender.number().into());
    for note in notes {
        let value = [&note.kind.0.to_le_bytes()[..], &note.body].concat();
        writer.field(NOTE, &value);
    }
    keys.seal_message(context, &writer.finish())
}

/// The sender and the notes of a message; `None` unless a server with the same key sealed it for this place.
pub(super) fn open(keys: &KeyRing, context: &[u8], message: &[u8]) -> Option<(ServerId, Vec<Note>)> {
    let record = keys.open_message(context, message)?;
    let reader = TaggedReader::open(&KIND, &record, MAX_OBJECT_BYTES).ok()?;
    let sender = ServerId::new(reader.number(SENDER)?.try_into().ok()?)?;
    let notes = reader.all(NOTE).filter_map(|value| {
        let (kind, body) = value.split_first_chunk()?;
        Some(Note {
            kind: NoteKind(u16::from_le_bytes(*kind)),
            body: Bytes::copy_from_slice(body),
        })
    });
    Some((sender, notes.collect()))
}

/// The name and the content of an object with these notes.
pub(super) fn object(
    keys: &KeyRing,
    now: SystemTime,
    sender: ServerId,
    notes: &[Note],
    max_name_bytes: usize,
) -> (String, Bytes) {
    let id = ulid_at(millis(now));
    let message = seal(keys, &context(id), sender, notes);
    let name = format!("{PREFIX}{id}.{}", URL_SAFE_NO_PAD.encode(&message));
    match name.len() <= max_name_bytes {
        true => (name, Bytes::new()),
        false => (format!("{PREFIX}{id}"), message.into()),
    }
}

/// The notes of an object.
pub(super) fn open_object(keys: &KeyRing, id: Ulid, message: &[u8]) -> Option<(ServerId, Vec<Note>)> {
    open(keys, &context(id), message)
}

/// Reads a name of the log; `None` if it is another.
pub(super) fn read_name(name: &str) -> Option<NoteName> {
    let name = name.strip_prefix(PREFIX)?;
    let (id, message) = match name.split_once('.') {
        Some((id, message)) => (id, Some(URL_SAFE_NO_PAD.decode(message).ok()?.into())),
        None => (name, None),
    };
    let id = parse_ulid(id)?;
    Some(NoteName { id, message })
}

/// The name of an object whose name does not hold the message.
pub(super) fn name_of(id: Ulid) -> String {
    format!("{PREFIX}{id}")
}

/// Before all names of this time and later.
pub(super) fn bound(time: SystemTime) -> Ulid {
    Ulid::from_parts(millis(time), 0)
}

fn context(id: Ulid) -> Vec<u8> {
    [LOGGED, &id.0.to_be_bytes()].concat()
}

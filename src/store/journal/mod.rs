//! What servers that share a remote tier tell each other through it: small records on shelves, in the order of
//! time. A record is never changed, and goes only when what it is about is gone; a reader may see one twice.
//!
//! Wherever it is short enough, the name of its object alone is the record, so that one listing reads a thousand of
//! them.
//!
//! ```text
//! journal/<shelf>/<ULID>.<base64url of the record>   an empty object
//! journal/<shelf>/<ULID>                             the record is the object
//! ```

mod ulid;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

pub use self::ulid::{Ulid, millis, next_ulid, now_millis, parse_ulid, ulid_at};

use super::shared::SharedObjects;
use super::{Error, Result};

/// A record as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalRecord {
    /// The record.
    Here(Bytes),
    /// It is too long for a listing: [`Journal::read`] gives it.
    Apart,
}

/// A part of a shelf, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalPage {
    /// The records by their names.
    pub records: Vec<(Ulid, JournalRecord)>,
    /// How many names no version of this server has made.
    pub foreign: usize,
    /// For the page after this one; `None` if this is the last.
    pub next: Option<String>,
}

/// Records that all servers of a remote tier see. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    objects: Arc<dyn SharedObjects>,
}

impl Journal {
    /// The journal among these objects.
    pub fn new(objects: Arc<dyn SharedObjects>) -> Self {
        Self { objects }
    }

    /// Adds a record of at most some KiB under `shelf` (64 hex digits). `id` orders it: it has to be made just
    /// now ([`next_ulid`]), since readers only go back by the time that clocks may differ.
    ///
    /// # Errors
    /// [`Error::Remote`]; the record may be there all the same.
    pub async fn append(&self, shelf: &str, id: Ulid, record: &[u8]) -> Result<()> {
        let longest = self.objects.max_name_bytes();
        let (name, content) = encode(&folder(shelf), id, record, longest);
        let added = self.objects.append(&name, content).await;
        added.map_err(|error| at("adding to the journal", error))
    }

    /// Removes a record that [`Journal::append`] has added, if it is there.
    ///
    /// # Errors
    /// [`Error::Remote`].
    pub async fn remove(&self, shelf: &str, id: Ulid, record: &[u8]) -> Result<()> {
        let (name, _) = encode(&folder(shelf), id, record, self.objects.max_name_bytes());
        let removed = self.objects.remove(&name).await;
        removed.map_err(|error| at("removing from the journal", error))
    }

    /// The records of `shelf` whose names are greater than `after`, some hundreds at once. `page` is
    /// [`JournalPage::next`] of the page before, with the same `after`.
    ///
    /// # Errors
    /// [`Error::Remote`].
    pub async fn list(&self, shelf: &str, after: Option<Ulid>, page: Option<String>) -> Result<JournalPage> {
        let folder = folder(shelf);
        // Behind all names of `after` itself.
        let after = page.or_else(|| after.map(|id| format!("{folder}{id}~")));
        let listed = self.objects.list_page(&folder, after.as_deref()).await;
        let listed = listed.map_err(|error| at("listing the journal", error))?;
        let mut page = JournalPage {
            next: listed.next,
            ..JournalPage::default()
        };
        for object in listed.objects {
            match object.name.strip_prefix(&folder).and_then(decode) {
                Some(record) => page.records.push(record),
                None => page.foreign += 1,
            }
        }
        Ok(page)
    }

    /// A record that is [`JournalRecord::Apart`]; `None` if it is gone.
    ///
    /// # Errors
    /// [`Error::Remote`].
    pub async fn read(&self, shelf: &str, id: Ulid) -> Result<Option<Bytes>> {
        let read = self.objects.get(&format!("{}{id}", folder(shelf))).await;
        read.map_err(|error| at("reading the journal", error))
    }
}

/// The same error, of an operation of the journal.
fn at(operation: &'static str, error: Error) -> Error {
    match error {
        Error::Remote { kind, source, .. } => Error::remote(operation, kind, source),
        other => other,
    }
}

/// What the names of all records of a shelf begin with.
fn folder(shelf: &str) -> String {
    format!("journal/{shelf}/")
}

/// The name of the object of a record, and its content.
fn encode(folder: &str, id: Ulid, record: &[u8], max_name_bytes: usize) -> (String, Bytes) {
    let name = format!("{folder}{id}.{}", URL_SAFE_NO_PAD.encode(record));
    if name.len() <= max_name_bytes {
        return (name, Bytes::new());
    }
    (format!("{folder}{id}"), Bytes::copy_from_slice(record))
}

/// Reads a name within its folder; `None` if no version of this server made it.
fn decode(name: &str) -> Option<(Ulid, JournalRecord)> {
    let Some((id, record)) = name.split_once('.') else {
        return Some((parse_ulid(name)?, JournalRecord::Apart));
    };
    let record = URL_SAFE_NO_PAD.decode(record).ok()?;
    Some((parse_ulid(id)?, JournalRecord::Here(record.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        const MAX_NAME_BYTES: usize = 1000;
        let folder = folder(&"a".repeat(64));
        for length in [0, 1, 2, 3, 200, 660, 670, 680, 5000] {
            let record: Vec<u8> = (0..length).map(|n| (n * 31 % 256) as u8).collect();
            let id = next_ulid();
            let (name, body) = encode(&folder, id, &record, MAX_NAME_BYTES);
            assert!(name.len() <= MAX_NAME_BYTES);
            let expected = match body.is_empty() {
                true => JournalRecord::Here(record.clone().into()),
                false => JournalRecord::Apart,
            };
            assert!(body.is_empty() || body == record);
            assert_eq!(name.strip_prefix(&folder).and_then(decode), Some((id, expected)));
        }
    }

    #[test]
    fn names_of_others_are_refused() {
        let id = next_ulid().to_string();
        assert!(decode(&id).is_some() && decode(&format!("{id}.AAAA")).is_some());
        for bad in [
            "",
            ".",
            "x",
            ".AAAA",
            &id[1..],
            &format!("{id}.A=A"),
            &format!("{id}.A.A"),
            &format!("{id}/"),
            &id.to_lowercase(),
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}

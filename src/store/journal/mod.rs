//! What servers that share a remote tier tell each other through it: small records on shelves, in the order of
//! time. A record is never changed or taken back; a reader may see one twice.

mod name;
mod ulid;

use std::sync::Arc;

use bytes::Bytes;

pub use self::ulid::{Ulid, next_ulid, now_millis, parse_ulid};

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
        let (name, content) = name::encode(&name::folder(shelf), id, record, longest);
        let added = self.objects.append(&name, content).await;
        added.map_err(|error| at("adding to the journal", error))
    }

    /// The records of `shelf` whose names are greater than `after`, some hundreds at once. `page` is
    /// [`JournalPage::next`] of the page before, with the same `after`.
    ///
    /// # Errors
    /// [`Error::Remote`].
    pub async fn list(&self, shelf: &str, after: Option<Ulid>, page: Option<String>) -> Result<JournalPage> {
        let folder = name::folder(shelf);
        let after = page.or_else(|| after.map(|id| name::after(&folder, id)));
        let listed = self.objects.list_page(&folder, after.as_deref()).await;
        let listed = listed.map_err(|error| at("listing the journal", error))?;
        let mut page = JournalPage {
            next: listed.next,
            ..JournalPage::default()
        };
        for object in listed.objects {
            match object.name.strip_prefix(&folder).and_then(name::decode) {
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
        let read = self.objects.get(&name::long_name(&name::folder(shelf), id)).await;
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

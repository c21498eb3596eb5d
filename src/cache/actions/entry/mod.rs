//! The value types of the Actions cache: the names of entries, and the facts about committed ones.
//!
//! Nothing here knows the index, the ledger, the catalog or an upload.

mod name;
mod namespace;
mod record;

pub use name::{CacheKey, NameError, Version};
pub use namespace::NamespaceId;
pub use record::EntryRecord;

/// A committed entry, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedEntry {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Its version.
    pub version: Version,
    /// Its whole key.
    pub key: CacheKey,
    /// The facts about it.
    pub record: EntryRecord,
}

impl CommittedEntry {
    pub(super) fn new(
        namespace: &NamespaceId,
        version: &Version,
        key: CacheKey,
        record: EntryRecord,
    ) -> Self {
        Self {
            namespace: namespace.clone(),
            version: version.clone(),
            key,
            record,
        }
    }
}

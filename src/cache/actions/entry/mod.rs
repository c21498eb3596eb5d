//! The value types of the Actions cache: what names an entry, and what is known of one that was committed.
//!
//! Nothing here knows the index, the ledger, the catalog or an upload.

mod name;
mod namespace;
mod record;

pub use name::{CacheKey, NameError, Version};
pub use namespace::{NamespaceDigest, NamespaceId};
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
    /// Everything else.
    pub record: EntryRecord,
}

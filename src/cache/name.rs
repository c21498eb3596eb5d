//! The name of an entry inside of a namespace.

use std::sync::Arc;

use crate::store::Protocol;

/// The name that a client gives to an entry. Two protocols never share entries, even under one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryName {
    pub(super) protocol: Protocol,
    pub(super) key: Arc<[u8]>,
    pub(super) version: Option<Arc<str>>,
}

impl EntryName {
    /// Longest key in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// `None` if `key` is empty or longer than [`EntryName::MAX_BYTES`].
    pub fn new(protocol: Protocol, key: impl Into<Arc<[u8]>>) -> Option<Self> {
        let key = key.into();
        (1..=Self::MAX_BYTES).contains(&key.len()).then_some(Self {
            protocol,
            key,
            version: None,
        })
    }

    /// The same key under a version of its own: (`a`, `b-c`) and (`a-b`, `c`) are two entries.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<Arc<str>>) -> Self {
        self.version = Some(version.into());
        self
    }
}

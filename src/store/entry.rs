//! An entry as its readers and its writers see it, and the name of the tier that has its bytes.

use std::fmt;
use std::sync::Arc;

use super::{Asker, Content, Meta, Metadata, Origin};

/// Which tier gave or took the bytes of an entry, for the log. Only tiers make one.
///
/// One word long: it passes through the future of every read beside the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TierName(&'static &'static str);

impl TierName {
    /// No bytes were given or taken.
    pub const NONE: Self = Self::new(&"");
    /// Small bodies that are kept in the memory of the server.
    pub const MEMORY: Self = Self::new(&"memory");
    /// Files of the local tier.
    pub const DISK: Self = Self::new(&"disk");

    /// The name of another tier.
    pub const fn new(name: &'static &'static str) -> Self {
        Self(name)
    }

    /// The name as logs show it.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for TierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry as a reader sees it: its description and its bytes, from one immutable version.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The description.
    pub meta: Arc<Meta>,
    /// The bytes.
    pub content: Content,
    /// Where the bytes come from.
    pub tier: TierName,
}

impl Entry {
    /// Only the description, for answers without a body.
    pub fn described(meta: Arc<Meta>) -> Self {
        let content = Content::Described(meta.size);
        let tier = TierName::NONE;
        Self { meta, content, tier }
    }

    /// The same for a reader in the name of `asker`.
    #[must_use]
    pub(crate) fn asked_by(mut self, asker: Asker) -> Self {
        self.content = self.content.asked_by(asker);
        self
    }
}

/// What the writer of an entry says about it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Who writes it.
    pub origin: Origin,
    /// Small strings that are stored and given back with the entry.
    pub metadata: Metadata,
}

/// An entry that was just written.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The description.
    pub meta: Arc<Meta>,
    /// The tier that had the whole body when the write was answered. The farthest one counts.
    pub tier: TierName,
}

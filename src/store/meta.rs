//! The description of an entry: what is stored beside its bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde::Deserialize;

use super::tagged::UnknownFields;
use super::tenant::Tenancy;

/// A strong entity tag, made from the content: equal bytes have equal tags on every server.
///
/// 32 hex digits of BLAKE3 over the size and the CRC-64/NVME of every MiB of the body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(Bytes);

impl ETag {
    /// Takes an opaque tag as it stands between the quotes.
    pub fn new(opaque: &str) -> Self {
        Self(format!("\"{opaque}\"").into())
    }

    /// The tag with its quotes, as protocols show it; shared, so that showing it copies nothing.
    pub fn quoted(&self) -> &Bytes {
        &self.0
    }

    /// The tag without quotes.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[1..self.0.len() - 1]).unwrap_or_default()
    }
}

/// Who stored an entry, and when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Origin {
    /// The configured URL of the issuer.
    pub issuer: Arc<str>,
    /// The `sub` claim of the writer's token.
    pub subject: Arc<str>,
    /// When its body was whole, by the clock of the server that took it.
    pub stored: SystemTime,
    /// Whom it belongs to; `None` for entries of former versions.
    #[serde(skip)]
    pub tenancy: Option<Tenancy>,
}

/// A small map of strings stored with an entry (Turborepo's headers, provenance).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    pairs: BTreeMap<String, String>,
    /// What a later version of this program stored beside them. It goes from tier to tier with the entry.
    unknown: UnknownFields,
}

/// The metadata of an entry has a bound, so that it can always be held in memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata of more than {} bytes", Metadata::MAX_BYTES)]
pub struct MetadataError;

impl Metadata {
    /// Names and values together, in bytes.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// As a tier has it.
    pub(super) fn stored(pairs: BTreeMap<String, String>, unknown: UnknownFields) -> Self {
        Self { pairs, unknown }
    }

    pub(super) fn unknown(&self) -> &UnknownFields {
        &self.unknown
    }

    /// Adds or replaces a value.
    ///
    /// # Errors
    /// [`MetadataError`] if the whole map would exceed [`Metadata::MAX_BYTES`]; it is unchanged then.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), MetadataError> {
        let held: usize = self
            .pairs
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if held + name.len() + value.len() > Self::MAX_BYTES {
            return Err(MetadataError);
        }
        self.pairs.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.get(name).map(String::as_str)
    }

    /// All pairs, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The description of a stored entry; immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Length of the body in bytes.
    pub size: u64,
    /// Tag of the body.
    pub etag: ETag,
    /// Who stored it, and when.
    pub origin: Origin,
    /// What the writer stored beside it.
    pub metadata: Metadata,
}

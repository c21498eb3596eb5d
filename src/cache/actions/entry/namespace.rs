//! The name of a namespace outside of `auth`.

use std::fmt;
use std::sync::Arc;

use super::{CacheKey, Version};
use crate::auth::Namespace;
use crate::store::{Protocol, StoreKey};

/// BLAKE3 over issuer and path, each with its length in front.
pub type RoomDigest = [u8; 32];

/// A namespace: issuer and path, and a digest in their place. Cheap to clone; two rooms are equal if their
/// digests are.
#[derive(Clone)]
pub struct Room(Arc<Parts>);

struct Parts {
    digest: RoomDigest,
    issuer: Arc<str>,
    path: Arc<str>,
}

impl Room {
    /// The room of a namespace.
    pub fn of(namespace: &Namespace) -> Self {
        Self::new(Arc::clone(namespace.issuer()), Arc::clone(namespace.path()))
    }

    /// The room with these parts: the URL of the issuer as configured, and what the expression returned.
    pub fn new(issuer: Arc<str>, path: Arc<str>) -> Self {
        let mut bytes = Vec::with_capacity(16 + issuer.len() + path.len());
        for part in [&issuer, &path] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        let digest = *blake3::hash(&bytes).as_bytes();
        Self(Arc::new(Parts { digest, issuer, path }))
    }

    /// The name of the room.
    pub fn digest(&self) -> &RoomDigest {
        &self.0.digest
    }

    /// The digest as 64 hex digits: the shelf of the journal.
    pub fn shelf(&self) -> String {
        blake3::Hash::from_bytes(self.0.digest).to_hex().to_string()
    }

    /// The URL of the issuer, as configured.
    pub fn issuer(&self) -> &Arc<str> {
        &self.0.issuer
    }

    /// What the expression returned. Never print it.
    pub fn path(&self) -> &Arc<str> {
        &self.0.path
    }

    /// The name of an entry of this room in the tiers.
    pub(in crate::cache) fn store_key(&self, version: &Version, key: &CacheKey) -> StoreKey {
        let (issuer, path) = (Arc::clone(self.issuer()), Arc::clone(self.path()));
        StoreKey::new(issuer, path, Protocol::Gha, key.as_str().as_bytes())
            .with_version(Arc::clone(version.text()))
    }
}

impl PartialEq for Room {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for Room {}

/// Prints a part of the digest only: the rest is the tenant's own.
impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({})", &self.shelf()[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_run_together() {
        let room = |issuer: &str, path: &str| Room::new(issuer.into(), path.into());
        assert_eq!(room("a", "b/c"), room("a", "b/c"));
        assert_ne!(room("a", "b/c"), room("ab", "/c"));
        assert_ne!(room("", "ab"), room("ab", ""));
        let shown = format!("{:?}", room("https://secret", "tenant"));
        assert!(!shown.contains("secret") && !shown.contains("tenant"), "{shown}");
        assert_eq!(room("a", "b").shelf().len(), 64);
    }
}

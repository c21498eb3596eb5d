//! The id of a namespace outside of `auth`.

use std::fmt;
use std::sync::Arc;

use super::{CacheKey, Version};
use crate::auth::Namespace;
use crate::store::{Digest, Protocol, StoreKey};

/// Names a namespace by its issuer and path. Cheap to clone. Two are equal if their digests are.
#[derive(Clone)]
pub struct NamespaceId(Arc<NamespaceIdParts>);

struct NamespaceIdParts {
    /// Over issuer and path, each with its length in front.
    digest: Digest,
    issuer: Arc<str>,
    path: Arc<str>,
    /// The tenant that writes it, where it is known.
    owner: Option<Digest>,
}

impl NamespaceId {
    /// The id of a namespace that `auth` has granted.
    pub fn of(namespace: &Namespace) -> Self {
        Self::new(Arc::clone(namespace.issuer()), Arc::clone(namespace.path()))
    }

    /// The id made of the issuer's URL as configured, and of the text that the expression returned.
    pub fn new(issuer: Arc<str>, path: Arc<str>) -> Self {
        let mut bytes = Vec::with_capacity(16 + issuer.len() + path.len());
        for part in [&issuer, &path] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(Arc::new(NamespaceIdParts {
            digest: Digest::of(&bytes),
            issuer,
            path,
            owner: None,
        }))
    }

    /// The same namespace, and the tenant that writes it, by its digest. It decides whose entries go when there is no
    /// room for all.
    #[must_use]
    pub fn owned_by(&self, owner: Option<Digest>) -> Self {
        Self(Arc::new(NamespaceIdParts {
            digest: self.0.digest,
            issuer: Arc::clone(&self.0.issuer),
            path: Arc::clone(&self.0.path),
            owner,
        }))
    }

    /// The digest of the tenant that writes it, where it is known.
    pub fn owner(&self) -> Option<Digest> {
        self.0.owner
    }

    /// Bytes of an id beside its texts.
    pub(in crate::cache::actions) const BYTES: usize = size_of::<NamespaceIdParts>();

    /// Stands for issuer and path.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// The digest as 64 hex digits, which name the namespace's stream in the journal.
    pub fn stream(&self) -> String {
        self.0.digest.to_string()
    }

    /// The URL of the issuer, as configured.
    pub fn issuer(&self) -> &Arc<str> {
        &self.0.issuer
    }

    /// The text that the expression returned. Never print it.
    pub fn path(&self) -> &Arc<str> {
        &self.0.path
    }

    /// The key of an entry of this namespace in the tiers, asked for by nobody in particular.
    pub(in crate::cache) fn store_key(&self, version: &Version, key: &CacheKey) -> StoreKey {
        let (issuer, path) = (Arc::clone(self.issuer()), Arc::clone(self.path()));
        StoreKey::new(issuer, path, Protocol::Gha, key.as_str().as_bytes())
            .with_version(Arc::clone(version.text()))
    }
}

impl PartialEq for NamespaceId {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for NamespaceId {}

/// Shows a part of the digest only: issuer and path are the tenant's own.
impl fmt::Debug for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamespaceId({})", &self.stream()[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_run_together() {
        let namespace = |issuer: &str, path: &str| NamespaceId::new(issuer.into(), path.into());
        assert_eq!(namespace("a", "b/c"), namespace("a", "b/c"));
        assert_ne!(namespace("a", "b/c"), namespace("ab", "/c"));
        assert_ne!(namespace("", "ab"), namespace("ab", ""));
        let shown = format!("{:?}", namespace("https://secret", "tenant"));
        assert!(!shown.contains("secret") && !shown.contains("tenant"), "{shown}");
        assert_eq!(namespace("a", "b").stream().len(), 64);
    }
}

//! The result of authentication. Only this folder can make these values, so a handler that forgets
//! to authenticate cannot name an entry.

use std::sync::Arc;
use std::time::SystemTime;

/// One tenant's room: what one expression returned, together with the issuer that vouched for it.
///
/// Compared as bytes. Two issuers with equal strings are two namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    issuer: Arc<str>,
    path: Arc<str>,
    label: Arc<str>,
}

impl Namespace {
    /// Longest namespace in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// `None` if `path` is empty or longer than [`Namespace::MAX_BYTES`].
    pub(in crate::auth) fn new(issuer: Arc<str>, path: &str) -> Option<Self> {
        if path.is_empty() || path.len() > Self::MAX_BYTES {
            return None;
        }
        let digest = blake3::hash(format!("{}\n{issuer}{path}", issuer.len()).as_bytes()).to_hex();
        let label = digest[..12].into();
        let path = path.into();
        Some(Self(Arc::new(Parts { issuer, path, label })))
    }

    /// The configured URL of the provider that verified the token.
    pub fn issuer(&self) -> &Arc<str> {
        &self.0.issuer
    }

    /// A name for logs that tells namespaces apart and reveals nothing: 12 hex digits.
    pub fn label(&self) -> &Arc<str> {
        &self.0.label
    }

    /// What the expression returned. May hold anything that a claim can hold: never print it raw.
    pub fn path(&self) -> &Arc<str> {
        &self.0.path
    }
}

/// The ordered namespaces of one caller; never empty. The first is written and read first, the
/// others are read-only fallbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    order: Arc<[Namespace]>,
}

impl Scope {
    /// Drops repeated namespaces (the first of them stays). `None` if there is no namespace.
    pub(in crate::auth) fn new(namespaces: impl IntoIterator<Item = Namespace>) -> Option<Self> {
        let mut order: Vec<Namespace> = Vec::new();
        for namespace in namespaces {
            if !order.contains(&namespace) {
                order.push(namespace);
            }
        }
        (!order.is_empty()).then(|| Self { order: order.into() })
    }

    /// The only namespace that is ever written.
    pub fn writable(&self) -> &Namespace {
        &self.order[0]
    }

    /// All namespaces in the order in which they are read.
    pub fn readable(&self) -> impl ExactSizeIterator<Item = &Namespace> {
        self.order.iter()
    }
}

/// A verified caller.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The configured URL of the provider.
    pub issuer: Arc<str>,
    /// The `sub` claim, for the origin of entries; empty if the token has none. Never logged.
    pub subject: Arc<str>,
    /// What the caller may read, and where it writes.
    pub scope: Scope,
    /// Whether `write_if` allows to write and delete.
    pub may_write: bool,
    /// The end of the token's life, leeway included. Checked at the start of a request only.
    pub expires: SystemTime,
}

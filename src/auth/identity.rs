//! The result of authentication. Only this folder can make these values, so a handler that forgets
//! to authenticate cannot name an entry.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;

use crate::store::Tenancy;

/// One tenant's namespace: the text that an expression returned, and the issuer that vouched for it.
///
/// Compared as bytes. Two issuers with equal strings are two namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(Arc<NamespaceParts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct NamespaceParts {
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
        Some(Self(Arc::new(NamespaceParts { issuer, path, label })))
    }

    /// The configured URL of the provider that verified the token.
    pub fn issuer(&self) -> &Arc<str> {
        &self.0.issuer
    }

    /// A name for logs that tells namespaces apart and reveals nothing: 12 hex digits.
    pub fn label(&self) -> &Arc<str> {
        &self.0.label
    }

    /// The text that the expression returned. It may hold anything that a claim can hold: never print it raw.
    pub fn path(&self) -> &Arc<str> {
        &self.0.path
    }
}

/// The namespaces of one caller: one that may be written, and those that are read, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Never empty. The first is the writable one.
    order: Arc<[Namespace]>,
    /// Whether the first is read, too.
    reads_first: bool,
}

impl Scope {
    /// All of them are read, and the first is the writable one. Drops repeated namespaces (the first of them
    /// stays). `None` if there is no namespace.
    pub(in crate::auth) fn new(namespaces: impl IntoIterator<Item = Namespace>) -> Option<Self> {
        let mut namespaces = namespaces.into_iter();
        Some(Self::with_first(namespaces.next()?, true, namespaces))
    }

    /// `first` is the writable one and is read only if `reads_first`; the `others` are read after it. Drops
    /// repeated namespaces, as [`Scope::new`].
    pub(in crate::auth) fn with_first(
        first: Namespace,
        reads_first: bool,
        others: impl IntoIterator<Item = Namespace>,
    ) -> Self {
        let mut order = vec![first];
        for namespace in others {
            if !order.contains(&namespace) {
                order.push(namespace);
            }
        }
        Self {
            order: order.into(),
            reads_first,
        }
    }

    /// The only namespace that is ever written; whether it may be, [`Identity::may_write`] says. Also the
    /// one that stands for the caller in logs.
    pub fn writable(&self) -> &Namespace {
        &self.order[0]
    }

    /// The namespaces that may be read, in the order in which they are. The writable one is the first of them,
    /// or is not among them; without any, every look-up is a miss.
    pub fn readable(&self) -> impl ExactSizeIterator<Item = &Namespace> {
        self.order[usize::from(!self.reads_first)..].iter()
    }
}

/// The SHA-256 of a token's text, which tells tokens apart. A caller with the same token may go on with work that
/// was begun with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a JSON Web Token in its compact form.
    pub(in crate::auth) fn of(jwt: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, jwt.as_bytes()).as_ref());
        Self(bytes)
    }

    /// A digest that was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be kept and compared later.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows nothing: in a log it would follow a token around.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

/// A verified caller.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The configured URL of the provider.
    pub issuer: Arc<str>,
    /// The `sub` claim, for the origin of entries; empty if the token has none. Never logged.
    pub subject: Arc<str>,
    /// The namespaces that the caller may read, and the one where it writes.
    pub scope: Scope,
    /// Whom what this caller writes belongs to.
    pub tenancy: Tenancy,
    /// Whether the rules and the scopes of the token allow to write and delete.
    pub may_write: bool,
    /// The end of the token's life, leeway included. Checked at the start of a request only.
    pub expires: SystemTime,
    /// The digest of the token that the caller sent.
    pub token: TokenDigest,
}

impl Identity {
    /// Bytes of the texts that it holds alone.
    pub(in crate::auth) fn text_bytes(&self) -> usize {
        let namespaces = self.scope.order.iter();
        let paths: usize = namespaces
            .map(|namespace| size_of::<NamespaceParts>() + namespace.path().len() + namespace.label().len())
            .sum();
        let tenant = &self.tenancy.tenant;
        self.subject.len() + paths + tenant.name().len() + tenant.group().len()
    }
}

/// The bearer of a token whose time has run out. It may only go on with work that was begun with the same token while
/// that was good.
#[derive(Debug, Clone)]
pub struct ExpiredIdentity(Arc<Identity>);

impl ExpiredIdentity {
    pub(in crate::auth) fn new(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }

    /// What the token would grant by the rules of now if its time had not run out.
    pub fn former(&self) -> &Arc<Identity> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(path: &str) -> Namespace {
        Namespace::new("https://issuer.test".into(), path).unwrap()
    }

    #[track_caller]
    fn check(scope: &Scope, writable: &str, readable: &[&str]) {
        assert_eq!(&**scope.writable().path(), writable);
        let found: Vec<&str> = scope.readable().map(|found| &**found.path()).collect();
        assert_eq!(found, readable);
        assert_eq!(scope.readable().len(), readable.len());
    }

    #[test]
    fn digests_are_of_the_text_and_show_nothing() {
        let digest = TokenDigest::of("abc");
        // FIPS 180-4, the example of one block.
        assert_eq!(digest.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_ne!(digest, TokenDigest::of("abd"));
        assert_eq!(format!("{digest:?}"), "TokenDigest(..)");
    }

    #[test]
    fn the_writable_namespace_is_read_first_or_not_at_all() {
        let others = || ["b", "a", "b", "c"].map(namespace);
        check(
            &Scope::with_first(namespace("a"), true, others()),
            "a",
            &["a", "b", "c"],
        );
        check(
            &Scope::with_first(namespace("a"), false, others()),
            "a",
            &["b", "c"],
        );
        check(&Scope::with_first(namespace("a"), false, []), "a", &[]);
        check(&Scope::new(others()).unwrap(), "b", &["b", "a", "c"]);
        assert_eq!(Scope::new([]), None);
    }
}

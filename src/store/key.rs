//! The identity of an entry: a tuple that cannot be forged by gluing its parts.

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::turns::Asker;
use crate::named::named_enum;

named_enum! {
    /// The protocol that owns an entry. One protocol can never read or forge another's entries.
    ///
    /// The names stand inside of stored identities. Never change one: entries would be lost.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Protocol {
        /// Plain keys of the HTTP cache.
        Http = "http",
        /// Turborepo artifacts.
        Turbo = "turbo",
        /// Nx artifacts.
        Nx = "nx",
        /// GitHub Actions entries; they have a version besides the key.
        Gha = "gha",
    }
}

impl Protocol {
    fn parse(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|protocol| protocol.as_str().as_bytes() == name)
    }
}

/// The tuple (issuer, namespace, protocol, key, version) and the digest that names it in a tier.
///
/// The digest is BLAKE3 over the canonical form: each part with its length in front, so two
/// different tuples never have the same bytes. The tuple is stored with the entry and compared on read.
#[derive(Clone)]
pub struct StoreKey {
    digest: Digest,
    /// In whose name this is asked for. No part of the identity.
    asker: Asker,
    issuer: Arc<str>,
    namespace: Arc<str>,
    protocol: Protocol,
    key: Arc<[u8]>,
    version: Option<Arc<str>>,
}

impl StoreKey {
    /// The format of the canonical form.
    const FORMAT: &'static str = "chacha1";

    /// A key without a version.
    /// `key` is bytes, not text: a path may hold any percent-encoded byte.
    pub fn new(issuer: Arc<str>, namespace: Arc<str>, protocol: Protocol, key: impl Into<Arc<[u8]>>) -> Self {
        let mut this = Self {
            digest: Digest::default(),
            asker: Asker::SERVER,
            issuer,
            namespace,
            protocol,
            key: key.into(),
            version: None,
        };
        this.digest = this.digest_of_parts();
        this
    }

    /// The same key with a version (its own part, so (`a`, `b-c`) and (`a-b`, `c`) differ).
    #[must_use]
    pub fn with_version(mut self, version: Arc<str>) -> Self {
        self.version = Some(version);
        self.digest = self.digest_of_parts();
        self
    }

    /// The same key, asked for in the name of a tenant: those who wait for a tier take turns.
    #[must_use]
    pub fn asked_by(mut self, asker: Asker) -> Self {
        self.asker = asker;
        self
    }

    /// In whose name this is asked for.
    pub fn asker(&self) -> Asker {
        self.asker
    }

    /// The front-end whose entry this is.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The name of the entry in a tier.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// A short name for logs that tells entries apart and reveals nothing: [`Digest::short`].
    pub fn short(&self) -> String {
        self.digest.short()
    }

    /// The canonical form: for every part its length (4 bytes, big endian) and its bytes.
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.namespace.len() + self.key.len());
        self.write_canonical(&mut bytes);
        bytes
    }

    fn write_canonical(&self, bytes: &mut Vec<u8>) {
        self.each_part(|part| {
            bytes.extend_from_slice(&length_prefix(part));
            bytes.extend_from_slice(part);
        });
    }

    /// Reads the canonical form; `None` if it is none.
    pub fn from_canonical(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut part = || -> Option<&[u8]> {
            let (length, more) = rest.split_first_chunk::<4>()?;
            let (part, more) = more.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = more;
            Some(part)
        };
        let text = |part: &[u8]| std::str::from_utf8(part).ok().map(Arc::<str>::from);
        if part()? != Self::FORMAT.as_bytes() {
            return None;
        }
        let (issuer, namespace) = (text(part()?)?, text(part()?)?);
        let protocol = Protocol::parse(part()?)?;
        let key = Self::new(issuer, namespace, protocol, part()?);
        let key = match part() {
            Some(version) => key.with_version(text(version)?),
            None => key,
        };
        (key.canonical() == bytes).then_some(key)
    }

    fn digest_of_parts(&self) -> Digest {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        // In one piece: the streaming hasher is 2 KiB of state to set up, for some 200 bytes.
        BUFFER.with_borrow_mut(|bytes| {
            bytes.clear();
            self.write_canonical(bytes);
            Digest::of(bytes)
        })
    }

    fn each_part(&self, mut visit: impl FnMut(&[u8])) {
        visit(Self::FORMAT.as_bytes());
        visit(self.issuer.as_bytes());
        visit(self.namespace.as_bytes());
        visit(self.protocol.as_str().as_bytes());
        visit(&self.key);
        if let Some(version) = &self.version {
            visit(version.as_bytes());
        }
    }
}

/// Of the tuple, whoever asks.
impl PartialEq for StoreKey {
    fn eq(&self, other: &Self) -> bool {
        let tuple = |key: &Self| (key.digest, key.protocol);
        tuple(self) == tuple(other)
            && self.issuer == other.issuer
            && self.namespace == other.namespace
            && self.key == other.key
            && self.version == other.version
    }
}

impl Eq for StoreKey {}

impl Hash for StoreKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// Parts are far below 4 GiB: a key has at most 1 KiB, a namespace too, an issuer comes from the file.
fn length_prefix(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Prints the digest only: namespace and key are the tenant's own.
impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({})", self.short())
    }
}

/// The name of an entry in every tier: BLAKE3 of the canonical form of a [`StoreKey`]. Uniform, and reveals nothing of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its first eight bytes. They are uniform, so tables take them for a hash.
    pub(crate) fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Reads what `Display` writes. Only lower-case digits, so that one digest has one text.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let hash = lower.then(|| blake3::Hash::from_hex(text).ok())??;
        Some(Self(*hash.as_bytes()))
    }

    /// The first 16 hex digits: tells entries apart in logs.
    pub fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

/// 64 hex digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

#[cfg(test)]
mod tests;

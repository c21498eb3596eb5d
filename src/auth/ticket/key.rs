//! The secret that all servers of one cache share.

use std::fmt;
use std::io;

use aws_lc_rs::rand;

/// 32 secret bytes. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey([u8; SigningKey::BYTES]);

impl SigningKey {
    /// Length in bytes.
    pub const BYTES: usize = 32;

    /// A new one.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = [0; Self::BYTES];
        rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
        Ok(Self(bytes))
    }

    /// The key with exactly these bytes; `None` if there are not [`SigningKey::BYTES`] of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, to be kept where the other servers find them.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// From a secret of any length above [`SigningKey::BYTES`].
    pub(super) fn from_long_secret(secret: &[u8]) -> Self {
        Self(*blake3::hash(secret).as_bytes())
    }

    /// A key for one purpose, which reveals nothing about this one.
    pub(in crate::auth) fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_show_nothing() {
        let (one, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(SigningKey::from_bytes(one.as_bytes()), Some(one.clone()));
        assert_eq!(SigningKey::from_bytes(&[0; 31]), None);
        assert_eq!(SigningKey::from_bytes(&[0; 33]), None);
        assert_eq!(format!("{one:?}"), "SigningKey(..)");
        assert_ne!(one.derive("a"), one.derive("b"));
        assert_ne!(&one.derive("a"), one.as_bytes());
    }
}

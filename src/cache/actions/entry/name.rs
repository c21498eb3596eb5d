//! The names that clients of the Actions cache give to entries.

use std::sync::Arc;

/// A key: the client's text, compared byte for byte and never normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Arc<str>);

/// Why a text is no key or no version. The messages are for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The key has no characters.
    #[error("the key is empty")]
    Empty,
    /// See [`CacheKey::MAX_CHARS`] and [`CacheKey::MAX_BYTES`].
    #[error("the key has more than 512 characters")]
    TooLong,
    /// The look-up of the first generation separates keys with commas (`@actions/cache` 3 to 6).
    #[error("the key contains a comma")]
    Comma,
    /// A control character, which no client sends and every log would have to escape.
    #[error("the key contains a control character")]
    Control,
    /// See [`Version::MAX_BYTES`].
    #[error("the version is empty or has more than 512 bytes")]
    Version,
}

impl CacheKey {
    /// Longest key in characters, as the toolkit checks it.
    pub const MAX_CHARS: usize = 512;
    /// Longest key in bytes: four for each character.
    pub const MAX_BYTES: usize = 4 * Self::MAX_CHARS;

    /// A key as it came.
    ///
    /// # Errors
    /// The key is empty, too long, or has a comma or a control character.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        // UTF-16 units, as JavaScript counts; never more than the bytes.
        if text.len() > Self::MAX_CHARS && text.encode_utf16().count() > Self::MAX_CHARS {
            return Err(NameError::TooLong);
        }
        if text.contains(',') {
            return Err(NameError::Comma);
        }
        if text.contains(|c: char| c.is_ascii_control()) {
            return Err(NameError::Control);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

/// Stands for the paths and the compression of an entry. It is opaque: entries with other bytes here are others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(Arc<str>);

impl Version {
    /// Longest version in bytes; all known clients send 64 hex digits or a short text.
    pub const MAX_BYTES: usize = 512;

    /// A version as it came.
    ///
    /// # Errors
    /// [`NameError::Version`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        match (1..=Self::MAX_BYTES).contains(&text.len()) {
            true => Ok(Self(text.into())),
            false => Err(NameError::Version),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_as_the_toolkit_counts() {
        for good in [
            "a",
            "Linux-node-ä",
            "a b#|%_*",
            &"x".repeat(512),
            &"ä".repeat(512),
            &"😀".repeat(256),
        ] {
            assert_eq!(
                CacheKey::new(good).map(|key| key.as_str().to_owned()),
                Ok(good.to_owned())
            );
        }
        assert_eq!(CacheKey::new(""), Err(NameError::Empty));
        assert_eq!(CacheKey::new("a,b"), Err(NameError::Comma));
        assert_eq!(CacheKey::new("a\nb"), Err(NameError::Control));
        assert_eq!(CacheKey::new(&"x".repeat(513)), Err(NameError::TooLong));
        assert_eq!(CacheKey::new(&"😀".repeat(257)), Err(NameError::TooLong));
    }

    #[test]
    fn versions_are_opaque_and_bounded() {
        assert!(Version::new("any text, with commas").is_ok());
        assert!(Version::new("").is_err());
        assert!(Version::new(&"x".repeat(513)).is_err());
    }
}

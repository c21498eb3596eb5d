//! The keys of one issuer at one time.

use std::sync::Arc;

use openidconnect::core::CoreJsonWebKeySet;
use tokio::time::Instant;

use super::super::error::printable;
use super::jwk::VerifyingKey;
use crate::config::Algorithm;

/// A set of keys that was published together. Never changes; a refresh makes a new one.
pub(super) struct KeySet {
    keys: Vec<Arc<VerifyingKey>>,
    /// When the issuer or the file last confirmed the set.
    pub(super) fetched: Instant,
}

/// Why a set has no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum KeyLookupError {
    /// A newer set may have it.
    Unknown,
    /// The key with this id is for other algorithms.
    Unfit,
    /// No id was given, and several keys fit.
    Ambiguous,
}

/// The changes of a refresh, for the log: ids of keys, escaped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeySetChanges {
    pub(super) added: Vec<String>,
    pub(super) withdrawn: Vec<String>,
}

impl KeySet {
    /// Takes over the usable keys and skips the others. Keys that `previous` already held stay the same objects, so
    /// that tokens verified with them stay valid.
    pub(super) fn new(published: &CoreJsonWebKeySet, previous: Option<&Self>, fetched: Instant) -> Self {
        let mut keys: Vec<Arc<VerifyingKey>> = Vec::new();
        for entry in published.keys() {
            let Ok(key) = VerifyingKey::from_published(entry) else {
                continue;
            };
            let known = previous.and_then(|set| set.keys.iter().find(|known| known.is_same(&key)));
            if !keys.iter().any(|taken| taken.is_same(&key)) {
                keys.push(known.cloned().unwrap_or_else(|| Arc::new(key)));
            }
        }
        Self { keys, fetched }
    }

    pub(super) fn confirmed(&self, fetched: Instant) -> Self {
        Self {
            keys: self.keys.clone(),
            fetched,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key for a token.
    ///
    /// # Errors
    /// See [`KeyLookupError`]. Without an id, exactly one key must fit (RFC 7515 section 4.1.4 leaves the id
    /// out when it is not needed).
    pub(super) fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerifyingKey>, KeyLookupError> {
        let named = self.keys.iter().filter(|key| id.is_none() || key.id() == id);
        let mut named = named.peekable();
        let miss = match named.peek().is_some() && id.is_some() {
            true => KeyLookupError::Unfit,
            false => KeyLookupError::Unknown,
        };
        let mut fitting = named.filter(|key| key.fits(algorithm));
        let first = fitting.next().ok_or(miss)?;
        if id.is_none() && fitting.next().is_some() {
            return Err(KeyLookupError::Ambiguous);
        }
        Ok(first.clone())
    }

    /// Withdraws the keys that `next` no longer holds. Returns the changes.
    pub(super) fn replace_by(&self, next: &Self) -> KeySetChanges {
        let missing_in =
            |set: &Self, key: &Arc<VerifyingKey>| !set.keys.iter().any(|other| Arc::ptr_eq(other, key));
        let label = |key: &Arc<VerifyingKey>| printable(key.id().unwrap_or_default(), 64);
        let mut changes = KeySetChanges::default();
        for key in self.keys.iter().filter(|key| missing_in(next, key)) {
            key.withdraw();
            changes.withdrawn.push(label(key));
        }
        changes
            .added
            .extend(next.keys.iter().filter(|key| missing_in(self, key)).map(label));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    fn rsa(id: &str, byte: u8) -> Value {
        let modulus = URL_SAFE_NO_PAD.encode([byte; 256]);
        json!({"kty": "RSA", "kid": id, "n": modulus, "e": "AQAB"})
    }

    fn set(keys: Value, previous: Option<&KeySet>) -> KeySet {
        let published = serde_json::from_value(json!({ "keys": keys })).unwrap();
        KeySet::new(&published, previous, Instant::now())
    }

    #[test]
    fn bad_entries_do_not_fail_the_set() {
        let junk = [
            json!(1),
            json!({}),
            json!({"kty": "RSA"}),
            json!({"kty": "oct", "k": "AA"}),
            json!(null),
        ];
        let mut keys = junk.to_vec();
        keys.push(rsa("a", 0xff));
        keys.push(rsa("a", 0xff));
        assert_eq!(set(json!(keys), None).len(), 1);
    }

    #[test]
    fn a_missing_id_is_accepted_only_if_one_key_fits() {
        let one = set(json!([rsa("a", 0xff)]), None);
        assert!(one.find(None, Algorithm::RS256).is_ok());
        assert_eq!(
            one.find(None, Algorithm::ES256).err(),
            Some(KeyLookupError::Unknown)
        );
        assert_eq!(
            one.find(Some("a"), Algorithm::ES256).err(),
            Some(KeyLookupError::Unfit)
        );
        assert_eq!(
            one.find(Some("b"), Algorithm::RS256).err(),
            Some(KeyLookupError::Unknown)
        );
        let two = set(json!([rsa("a", 0xff), rsa("b", 0xfe)]), None);
        assert_eq!(
            two.find(None, Algorithm::RS256).err(),
            Some(KeyLookupError::Ambiguous)
        );
        assert!(two.find(Some("b"), Algorithm::RS256).is_ok());
    }

    #[test]
    fn kept_keys_stay_and_changed_ones_are_withdrawn() {
        let old = set(json!([rsa("a", 0xff), rsa("b", 0xfe), rsa("c", 0xfd)]), None);
        let key = |id| old.find(Some(id), Algorithm::RS256).ok().unwrap();
        let new = set(
            json!([rsa("a", 0xff), rsa("b", 0xf0), rsa("d", 0xfc)]),
            Some(&old),
        );
        let changes = old.replace_by(&new);
        assert_eq!(changes.withdrawn, ["b", "c"]);
        assert_eq!(changes.added, ["b", "d"]);
        assert!(!key("a").is_withdrawn());
        assert!(key("b").is_withdrawn() && key("c").is_withdrawn());
    }
}

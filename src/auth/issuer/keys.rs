//! The keys of one issuer at one time.

use std::sync::Arc;

use openidconnect::JsonWebKey as _;
use tokio::time::Instant;

use super::super::error::printable;
use super::document::PublishedKeys;
use super::jwk::{SkippedKey, VerifyingKey};
use crate::config::Algorithm;

/// A set of keys that was published together. Never changes; a refresh makes a new one.
pub(super) struct KeySet {
    keys: Vec<Arc<VerifyingKey>>,
    /// What was published and cannot be used.
    pub(super) skipped: Vec<SkippedKey>,
    /// When the issuer or the file last confirmed the set.
    pub(super) fetched: Instant,
}

/// The keys that may have signed a token.
#[derive(Clone)]
pub(in crate::auth) struct Candidates {
    /// At least one, at most [`Candidates::MAX`].
    pub(in crate::auth) keys: Vec<Arc<VerifyingKey>>,
    /// Whether there are more, which are not tried.
    pub(in crate::auth) more: bool,
}

impl Candidates {
    /// How many signatures one token may cost. Issuers that give two keys one id, or leave the ids out, have an old
    /// key and a new one.
    const MAX: usize = 4;

    /// Whether the same keys are meant.
    pub(in crate::auth) fn are_same(&self, other: &Self) -> bool {
        let mut pairs = self.keys.iter().zip(&other.keys);
        self.keys.len() == other.keys.len() && pairs.all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// Why a set has no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum KeyLookupError {
    /// A newer set may have it.
    Unknown,
    /// The keys with this id are for other algorithms.
    Unfit,
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
    pub(super) fn new(published: PublishedKeys, previous: Option<&Self>, fetched: Instant) -> Self {
        let mut keys: Vec<Arc<VerifyingKey>> = Vec::new();
        let mut skipped = published.skipped;
        for entry in published.set.keys() {
            let key = match VerifyingKey::from_published(entry) {
                Ok(key) => key,
                Err(reason) => {
                    let id = entry.key_id().map(|id| id.as_str());
                    skipped.push(SkippedKey::new(id, reason));
                    continue;
                }
            };
            let known = previous.and_then(|set| set.keys.iter().find(|known| known.is_same(&key)));
            if !keys.iter().any(|taken| taken.is_same(&key)) {
                keys.push(known.cloned().unwrap_or_else(|| Arc::new(key)));
            }
        }
        Self {
            keys,
            skipped,
            fetched,
        }
    }

    pub(super) fn confirmed(&self, fetched: Instant) -> Self {
        Self {
            keys: self.keys.clone(),
            skipped: self.skipped.clone(),
            fetched,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that may have signed a token: all that fit its algorithm, and have its id if it names one. An issuer
    /// should give its keys different ids, but need not (RFC 7517 section 4.5), and a token need not name its key
    /// (RFC 7515 section 4.1.4).
    ///
    /// # Errors
    /// See [`KeyLookupError`].
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Candidates, KeyLookupError> {
        let named = self.keys.iter().filter(|key| id.is_none() || key.id() == id);
        let mut named = named.peekable();
        let miss = match named.peek().is_some() && id.is_some() {
            true => KeyLookupError::Unfit,
            false => KeyLookupError::Unknown,
        };
        let mut fitting = named.filter(|key| key.fits(algorithm)).cloned();
        let keys: Vec<_> = fitting.by_ref().take(Candidates::MAX).collect();
        if keys.is_empty() {
            return Err(miss);
        }
        let more = fitting.next().is_some();
        Ok(Candidates { keys, more })
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
    use super::super::document;
    use super::super::jwk::JwkError;
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    fn rsa(id: &str, byte: u8) -> Value {
        let modulus = URL_SAFE_NO_PAD.encode([byte; 256]);
        json!({"kty": "RSA", "kid": id, "n": modulus, "e": "AQAB"})
    }

    fn set(keys: Value, previous: Option<&KeySet>) -> KeySet {
        let body = json!({ "keys": keys }).to_string();
        let published = document::key_set(body.as_bytes()).unwrap();
        KeySet::new(published, previous, Instant::now())
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
        let set = set(json!(keys), None);
        assert_eq!(set.len(), 1);
        assert_eq!(set.skipped.len(), junk.len(), "{:?}", set.skipped);
    }

    #[test]
    fn skipped_keys_are_named_with_their_reasons() {
        let short = json!({"kty": "EC", "crv": "P-256", "kid": "short", "x": "AA", "y": "AA"});
        let encryption = json!({"kty": "RSA", "kid": "enc", "use": "enc", "n": "AA", "e": "AQAB"});
        let set = set(json!([short, encryption, {"kty": "AKP", "kid": "new\n"}]), None);
        let mut skipped: Vec<_> = set
            .skipped
            .iter()
            .map(|key| (key.id.as_str(), key.reason))
            .collect();
        skipped.sort_unstable_by_key(|(id, _)| *id);
        let expected = [
            ("enc", JwkError::Use),
            ("new\\n", JwkError::Type),
            ("short", JwkError::Coordinates),
        ];
        assert_eq!(skipped, expected);
    }

    #[test]
    fn every_key_that_fits_is_a_candidate_up_to_a_bound() {
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
        let found = |id| {
            let three = set(json!([rsa("a", 0xff), rsa("b", 0xfb), rsa("b", 0xf9)]), None);
            three.find(id, Algorithm::RS256).ok().unwrap().keys.len()
        };
        assert_eq!([found(None), found(Some("a")), found(Some("b"))], [3, 1, 2]);
        let many: Vec<Value> = (0..5).map(|number| rsa("a", 0xf1 + 2 * number)).collect();
        let many = set(json!(many), None).find(Some("a"), Algorithm::RS256);
        let many = many.ok().unwrap();
        assert_eq!((many.keys.len(), many.more), (Candidates::MAX, true));
    }

    #[test]
    fn kept_keys_stay_and_changed_ones_are_withdrawn() {
        let old = set(json!([rsa("a", 0xff), rsa("b", 0xfb), rsa("c", 0xfd)]), None);
        let key = |id| old.find(Some(id), Algorithm::RS256).ok().unwrap().keys[0].clone();
        let new = set(
            json!([rsa("a", 0xff), rsa("b", 0xf1), rsa("d", 0xf9)]),
            Some(&old),
        );
        let changes = old.replace_by(&new);
        assert_eq!(changes.withdrawn, ["b", "c"]);
        assert_eq!(changes.added, ["b", "d"]);
        assert!(!key("a").is_withdrawn());
        assert!(key("b").is_withdrawn() && key("c").is_withdrawn());
    }
}

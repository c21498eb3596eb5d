//! Sealing and opening job tokens.
//!
//! AES-256-GCM-SIV under a key derived from the signing key, with a random nonce in front, then the end of the token's
//! life, which is associated data beside the label. Neither label nor key are those of links, so neither opens as the other.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::super::ticket::SigningKey;

/// Names the form. A later form gets another label, and neither opens under the other.
const JOB_TOKEN_LABEL: &[u8; 18] = b"chacha job token 1";

/// The keys of job tokens: the first seals, all of them open. Cheap to clone; never waits.
#[derive(Clone)]
pub struct JobTokenKeys(Arc<Vec<RandomizedNonceKey>>);

impl JobTokenKeys {
    /// All servers with this key open each other's tokens. What `former` has sealed opens, too.
    ///
    /// # Panics
    /// Never: a key of 32 bytes is what the cipher takes.
    pub fn new(key: &SigningKey, former: Option<&SigningKey>) -> Self {
        let cipher = |key: &SigningKey| {
            let derived = key.derive("chacha job token 1 AES-256-GCM-SIV");
            RandomizedNonceKey::new(&AES_256_GCM_SIV, &derived).expect("a key of 32 bytes")
        };
        let keys = [Some(key), former].into_iter().flatten();
        Self(Arc::new(keys.map(cipher).collect()))
    }

    /// The sealed `payload` of a token that ends at `expires`, in seconds since 1970.
    ///
    /// # Panics
    /// When the operating system has no random bytes.
    pub(in crate::auth) fn seal(&self, payload: &[u8], expires: u64) -> Vec<u8> {
        let mut sealed = payload.to_vec();
        // Never empty.
        let outcome = self.0[0].seal_in_place_append_tag(associated(expires), &mut sealed);
        let nonce = outcome.expect("random bytes");
        [&nonce.as_ref()[..], &expires.to_be_bytes(), &sealed].concat()
    }

    /// The payload and the end of the token's life. `None` if none of the keys has sealed it, or if it was changed since.
    pub(in crate::auth) fn open(&self, sealed: &[u8]) -> Option<(Vec<u8>, u64)> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let (expires, sealed) = rest.split_first_chunk()?;
        let expires = u64::from_be_bytes(*expires);
        let open = |key: &RandomizedNonceKey| {
            let mut bytes = sealed.to_vec();
            let opened = key.open_in_place(Nonce::from(nonce), associated(expires), &mut bytes);
            opened.ok().map(|payload| payload.to_vec())
        };
        Some((self.0.iter().find_map(open)?, expires))
    }
}

impl fmt::Debug for JobTokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobTokenKeys(..)")
    }
}

/// Both parts have a fixed length.
fn associated(expires: u64) -> Aad<[u8; JOB_TOKEN_LABEL.len() + 8]> {
    let mut bytes = [0; JOB_TOKEN_LABEL.len() + 8];
    bytes[..JOB_TOKEN_LABEL.len()].copy_from_slice(JOB_TOKEN_LABEL);
    bytes[JOB_TOKEN_LABEL.len()..].copy_from_slice(&expires.to_be_bytes());
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::super::ticket::{MessageSealer, Sealer, Ticket};
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32]).unwrap()
    }

    #[test]
    fn any_change_of_nonce_time_or_payload_is_noticed() {
        let keys = JobTokenKeys::new(&key(1), None);
        let sealed = keys.seal(b"payload", 1000);
        assert_eq!(keys.open(&sealed), Some((b"payload".to_vec(), 1000)));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(&changed), None, "{at}");
            assert_eq!(keys.open(&sealed[..at]), None, "{at}");
        }
        assert_ne!(keys.seal(b"payload", 1000), sealed);
    }

    #[test]
    fn a_former_key_opens_and_never_seals() {
        let (old, new) = (
            JobTokenKeys::new(&key(1), None),
            JobTokenKeys::new(&key(2), Some(&key(1))),
        );
        assert!(new.open(&old.seal(b"x", 1)).is_some());
        assert!(old.open(&new.seal(b"x", 1)).is_none());
        assert!(
            JobTokenKeys::new(&key(3), None)
                .open(&old.seal(b"x", 1))
                .is_none()
        );
    }

    #[test]
    fn a_link_never_opens_as_a_token_nor_a_token_as_a_link() {
        let (keys, links, messages) = (
            JobTokenKeys::new(&key(1), None),
            Sealer::new(&key(1)),
            MessageSealer::new(&key(1)),
        );
        let time = UNIX_EPOCH + Duration::from_secs(1000);
        let link = links.seal(b"payload", time);
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let (body, tag) = (decode(link.body()), decode(link.signature()));
        let (nonce, sealed) = body.split_at(NONCE_LEN);
        let expires = 1000u64.to_be_bytes();
        assert_eq!(keys.open(&[nonce, &expires[..], sealed, &tag].concat()), None);
        assert_eq!(keys.open(&messages.seal(b"", b"payload, long enough")), None);
        let token = keys.seal(b"payload", 1000);
        let (front, tag) = token.split_at(token.len() - 16);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let body = [&front[..NONCE_LEN], &front[NONCE_LEN + 8..]].concat();
        let forged = Ticket::from_parts(&encode(&body), "1000", &encode(tag)).unwrap();
        assert!(links.open(&forged, UNIX_EPOCH).is_err());
        assert_eq!(messages.open(b"", &token), None);
    }
}

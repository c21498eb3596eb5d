//! Messages between servers with the same signing key: sealed, so that nobody else can read, change or make one.
//!
//! AES-256-GCM-SIV under a key derived from the signing key, with a random nonce in front and the tag behind. What a
//! message is about is associated data: it opens only where it was meant to be read. A message has no time of its
//! own; whoever needs one puts it into the payload.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::SigningKey;

/// Seals and opens messages. Cheap to clone; never waits.
#[derive(Clone)]
pub struct MessageSealer(Arc<RandomizedNonceKey>);

impl MessageSealer {
    /// All sealers of one key open each other's messages.
    ///
    /// # Panics
    /// Never: a key of 32 bytes is what the cipher takes.
    pub fn new(key: &SigningKey) -> Self {
        let derived = key.derive("chacha message 1 AES-256-GCM-SIV");
        let cipher = RandomizedNonceKey::new(&AES_256_GCM_SIV, &derived).expect("a key of 32 bytes");
        Self(Arc::new(cipher))
    }

    /// The message `payload` about `context`: some 28 bytes longer.
    ///
    /// # Panics
    /// When the operating system has no random bytes.
    pub fn seal(&self, context: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut sealed = payload.to_vec();
        let outcome = self.0.seal_in_place_append_tag(Aad::from(context), &mut sealed);
        let nonce = outcome.expect("random bytes");
        [&nonce.as_ref()[..], &sealed].concat()
    }

    /// The payload; `None` if no server with this key sealed it for this context, or if it was changed since.
    pub fn open(&self, context: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = message.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let opened = self
            .0
            .open_in_place(Nonce::from(nonce), Aad::from(context), &mut sealed);
        Some(opened.ok()?.to_vec())
    }
}

impl fmt::Debug for MessageSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageSealer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_opens_with_its_key_and_in_its_context_only() {
        let sealer = MessageSealer::new(&SigningKey::generate().unwrap());
        let other = MessageSealer::new(&SigningKey::generate().unwrap());
        let message = sealer.seal(b"here", b"payload");
        assert_eq!(sealer.open(b"here", &message).as_deref(), Some(&b"payload"[..]));
        assert_eq!(sealer.open(b"there", &message), None);
        assert_eq!(other.open(b"here", &message), None);
        for at in 0..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert_eq!(sealer.open(b"here", &changed), None, "{at}");
            assert_eq!(sealer.open(b"here", &message[..at]), None, "{at}");
        }
        assert_ne!(sealer.seal(b"here", b"payload"), message);
    }
}

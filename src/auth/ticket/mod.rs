//! Tickets: permissions that travel in a URL. They are short-lived, and sealed, so that only servers with the key
//! can read, change or make one.
//!
//! The caller chooses the payload. A ticket proves that a server with the same key sealed it, for this time. Form 1: AES-256-GCM-SIV under a key derived from the signing key, a random nonce, and the
//! label and the time as associated data. That mode stands random nonces for far more tickets than any server
//! will seal, and a repeated one would only show that two payloads are equal.

mod file;
mod key;
mod message;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use file::{KeyFileError, KeyFileErrorKind};
pub use key::SigningKey;
pub use message::MessageSealer;

/// Names the form. A later form gets another label, and neither opens under the other.
const TICKET_LABEL: &[u8; 15] = b"chacha ticket 1";
const TAG_BYTES: usize = 16;

/// A sealed permission in the three parts that a URL has. It is a secret, because every holder may use it, so
/// `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    body: String,
    expires: u64,
    signature: String,
}

impl Ticket {
    /// Longest body in characters. A payload of up to 12,000 bytes fits.
    pub const MAX_BODY: usize = 16 * 1024;

    /// From the parts of a URL. `None` if they cannot be those of a ticket: `body` and `signature` are base64url
    /// without padding, `expires` is a number without sign and leading zeros. One ticket has one spelling.
    pub fn from_parts(body: &str, expires: &str, signature: &str) -> Option<Self> {
        if body.len() > Self::MAX_BODY || decode(body)?.len() < NONCE_LEN {
            return None;
        }
        // Bounded before it is decoded, as the body is.
        if signature.len() > 2 * TAG_BYTES || decode(signature)?.len() != TAG_BYTES {
            return None;
        }
        let number: u64 = expires.parse().ok()?;
        (number.to_string() == expires).then(|| Self {
            body: body.to_owned(),
            expires: number,
            signature: signature.to_owned(),
        })
    }

    /// The sealed payload.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The end of its life in seconds since 1970; it is good before that second.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The proof that nothing was changed.
    pub fn signature(&self) -> &str {
        &self.signature
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// Why a ticket permits nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not sealed with this key, or changed since, the time included.
    #[error("the link is not valid")]
    Forged,
    /// Sealed with this key, but its time is over.
    #[error("the link has expired")]
    Expired,
}

/// Seals and opens tickets. Cheap to clone; never waits.
#[derive(Clone)]
pub struct Sealer(Arc<RandomizedNonceKey>);

impl Sealer {
    /// All sealers of one key open each other's tickets.
    ///
    /// # Panics
    /// Never: a key of 32 bytes is what the cipher takes.
    pub fn new(key: &SigningKey) -> Self {
        // A key of its own, so that the signing key can serve other purposes, too.
        let derived = key.derive("chacha ticket 1 AES-256-GCM-SIV");
        let cipher = RandomizedNonceKey::new(&AES_256_GCM_SIV, &derived).expect("a key of 32 bytes");
        Self(Arc::new(cipher))
    }

    /// A ticket with `payload` that is good until `expires`, cut to whole seconds.
    ///
    /// # Panics
    /// When the operating system has no random bytes. More than [`Ticket::MAX_BODY`] allows can be sealed, but not
    /// be read from a URL.
    pub fn seal(&self, payload: &[u8], expires: SystemTime) -> Ticket {
        let expires = seconds(expires);
        let mut sealed = payload.to_vec();
        let outcome = self
            .0
            .seal_in_place_separate_tag(associated(expires), &mut sealed);
        let (nonce, tag) = outcome.expect("random bytes");
        let body = [&nonce.as_ref()[..], &sealed].concat();
        Ticket {
            body: URL_SAFE_NO_PAD.encode(body),
            expires,
            signature: URL_SAFE_NO_PAD.encode(tag),
        }
    }

    /// The payload of a ticket that is good at the time `now`.
    ///
    /// # Errors
    /// [`TicketError::Forged`] before [`TicketError::Expired`]: a time that was not sealed means nothing.
    pub fn open(&self, ticket: &Ticket, now: SystemTime) -> Result<Vec<u8>, TicketError> {
        let mut body = decode(&ticket.body).ok_or(TicketError::Forged)?;
        let signature = decode(&ticket.signature).ok_or(TicketError::Forged)?;
        let (nonce, _) = body.split_first_chunk::<NONCE_LEN>().ok_or(TicketError::Forged)?;
        let nonce = Nonce::from(nonce);
        body.extend_from_slice(&signature);
        let sealed = &mut body[NONCE_LEN..];
        let opened = self.0.open_in_place(nonce, associated(ticket.expires), sealed);
        let payload = opened.map_err(|_| TicketError::Forged)?;
        match seconds(now) < ticket.expires {
            true => Ok(payload.to_vec()),
            false => Err(TicketError::Expired),
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// The associated data: sealed, but readable. Both parts have a fixed length.
fn associated(expires: u64) -> Aad<[u8; TICKET_LABEL.len() + 8]> {
    let mut bytes = [0; TICKET_LABEL.len() + 8];
    bytes[..TICKET_LABEL.len()].copy_from_slice(TICKET_LABEL);
    bytes[TICKET_LABEL.len()..].copy_from_slice(&expires.to_be_bytes());
    Aad::from(bytes)
}

/// Refuses padding and stray bits.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! One published key, checked once when it arrives.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use openidconnect::core::CoreJsonWebKey;

use super::super::error::printable;
use crate::config::Algorithm;

/// A public key that may verify signatures.
pub(in crate::auth) struct VerifyingKey {
    jwk: Jwk,
    kind: KeyKind,
    decoding: DecodingKey,
    /// Set when a later key set no longer holds this key. Tokens verified with it are void then.
    withdrawn: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// Why an entry of a key set is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::auth) enum JwkError {
    #[error("it cannot be read")]
    Unreadable,
    #[error("it is not for signatures")]
    Use,
    #[error("its type is symmetric or unknown")]
    Type,
    #[error("its parameters are damaged")]
    Parameters,
    #[error("its coordinates are not as long as its curve demands (RFC 7518, 6.2.1.2)")]
    Coordinates,
    #[error("it is an RSA key with fewer than 2048 bits")]
    Weak,
    #[error("it is an RSA key with more than 8192 bits, or an exponent of more than 33")]
    Long,
}

impl JwkError {
    /// Whether the issuer made a mistake. Many publish keys for other purposes in the same set, which is none.
    pub(super) fn is_fault(self) -> bool {
        !matches!(self, Self::Use | Self::Type)
    }
}

/// A published key that verifies nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SkippedKey {
    /// Its `kid`, escaped; empty without one.
    pub(super) id: String,
    pub(super) reason: JwkError,
}

impl SkippedKey {
    pub(super) fn new(id: Option<&str>, reason: JwkError) -> Self {
        let id = printable(id.unwrap_or_default(), 64);
        Self { id, reason }
    }
}

impl VerifyingKey {
    /// Takes a key over from a published set.
    ///
    /// # Errors
    /// Why it cannot verify signatures: `oct` keys, keys with another `use` than `sig`, RSA keys
    /// below 2048 bits, unknown curves, damaged parameters. Zero octets in front of the numbers of an RSA key are no
    /// reason: RFC 7518 (6.3.1.1) forbids them to issuers, and some send them all the same.
    pub(in crate::auth) fn from_published(published: &CoreJsonWebKey) -> Result<Self, JwkError> {
        let json = serde_json::to_value(published).map_err(|_| JwkError::Unreadable)?;
        let mut jwk: Jwk = serde_json::from_value(json).map_err(|_| JwkError::Unreadable)?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err(JwkError::Use);
        }
        strip_zeros(&mut jwk.algorithm)?;
        let kind = KeyKind::of(&jwk.algorithm)?;
        let decoding = DecodingKey::from_jwk(&jwk).map_err(|_| JwkError::Parameters)?;
        Ok(Self {
            jwk,
            kind,
            decoding,
            withdrawn: AtomicBool::new(false),
        })
    }

    /// `kid`, chosen by the issuer.
    pub(in crate::auth) fn id(&self) -> Option<&str> {
        self.jwk.common.key_id.as_deref()
    }

    /// Whether the key may verify signatures of an algorithm: `kty` and `crv` are for it, and
    /// `alg` is absent or the same (RFC 7517 section 4.4).
    pub(in crate::auth) fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => KeyKind::Rsa,
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => KeyKind::Rsa,
            Algorithm::ES256 => KeyKind::P256,
            Algorithm::ES384 => KeyKind::P384,
            Algorithm::EdDSA => KeyKind::Ed25519,
        };
        let only_for = self.jwk.common.key_algorithm;
        self.kind == kind && only_for.is_none_or(|only| only == KeyAlgorithm::from(algorithm.to_jwt()))
    }

    /// The key as the verifying library takes it.
    pub(in crate::auth) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// Whether a later key set left this key out or changed it.
    pub(in crate::auth) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Voids all tokens that this key verified.
    pub(in crate::auth) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    /// Whether both are the same key: id, algorithm, use and material.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}

impl KeyKind {
    fn of(parameters: &AlgorithmParameters) -> Result<Self, JwkError> {
        match parameters {
            AlgorithmParameters::RSA(rsa) => {
                check_rsa(&bytes(&rsa.n)?, &bytes(&rsa.e)?)?;
                Ok(Self::Rsa)
            }
            AlgorithmParameters::EllipticCurve(ec) => {
                let (kind, length) = match ec.curve {
                    EllipticCurve::P256 => (Self::P256, 32),
                    EllipticCurve::P384 => (Self::P384, 48),
                    _ => return Err(JwkError::Type),
                };
                // Coordinates have the full length of the field (RFC 7518 section 6.2.1.2).
                let whole = bytes(&ec.x)?.len() == length && bytes(&ec.y)?.len() == length;
                whole.then_some(kind).ok_or(JwkError::Coordinates)
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                let whole = bytes(&pair.x)?.len() == 32;
                whole.then_some(Self::Ed25519).ok_or(JwkError::Parameters)
            }
            _ => Err(JwkError::Type),
        }
    }
}

fn bytes(parameter: &str) -> Result<Vec<u8>, JwkError> {
    let bytes = URL_SAFE_NO_PAD.decode(parameter);
    bytes.map_err(|_| JwkError::Parameters)
}

/// Writes the numbers of an RSA key without zero octets in front, which make the verifying library refuse every
/// signature.
fn strip_zeros(parameters: &mut AlgorithmParameters) -> Result<(), JwkError> {
    if let AlgorithmParameters::RSA(rsa) = parameters {
        for number in [&mut rsa.n, &mut rsa.e] {
            *number = URL_SAFE_NO_PAD.encode(significant(&bytes(number)?));
        }
    }
    Ok(())
}

/// A number without the zero octets in front of it.
fn significant(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|byte| *byte != 0);
    &number[start.unwrap_or(number.len())..]
}

fn bits(number: &[u8]) -> usize {
    let number = significant(number);
    let unused = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - unused
}

/// Refuses moduli below 2048 bits (RFC 7518 section 3.3), numbers for which the verifying library has no room, and
/// those that sign nothing: even ones, and the exponent 1.
fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), JwkError> {
    const MAX_BITS: usize = 8192;
    const MAX_EXPONENT_BITS: usize = 33;
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if !odd(modulus) || !odd(exponent) || bits(exponent) < 2 {
        return Err(JwkError::Parameters);
    }
    match (bits(modulus), bits(exponent)) {
        (..2048, _) => Err(JwkError::Weak),
        (2048..=MAX_BITS, ..=MAX_EXPONENT_BITS) => Ok(()),
        _ => Err(JwkError::Long),
    }
}

#[cfg(test)]
impl VerifyingKey {
    /// A key of the right form, whose private half does not exist.
    pub(in crate::auth) fn sample() -> Self {
        let json = serde_json::json!({"kty": "RSA", "n": encoded(256), "e": "AQAB"});
        let published: CoreJsonWebKey = serde_json::from_value(json).unwrap();
        Self::from_published(&published).ok().unwrap()
    }
}

#[cfg(test)]
fn encoded(length: usize) -> String {
    URL_SAFE_NO_PAD.encode(vec![0xff; length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn key(json: Value) -> Result<VerifyingKey, JwkError> {
        VerifyingKey::from_published(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn only_strong_asymmetric_signature_keys_are_taken() {
        for (json, reason) in [
            (json!({"kty": "oct", "k": encoded(32)}), JwkError::Type),
            (
                json!({"kty": "RSA", "n": encoded(128), "e": "AQAB"}),
                JwkError::Weak,
            ),
            (
                json!({"kty": "RSA", "n": encoded(255), "e": "AQAB"}),
                JwkError::Weak,
            ),
            (json!({"kty": "RSA", "n": "", "e": "AQAB"}), JwkError::Parameters),
            (
                json!({"kty": "RSA", "n": encoded(256), "e": "AQ"}),
                JwkError::Parameters,
            ),
            (
                json!({"kty": "RSA", "n": encoded(256), "e": "Ag"}),
                JwkError::Parameters,
            ),
            (
                json!({"kty": "RSA", "n": encoded(256), "e": "AQAB", "use": "enc"}),
                JwkError::Use,
            ),
            (
                json!({"kty": "EC", "crv": "P-256", "x": encoded(31), "y": encoded(32)}),
                JwkError::Coordinates,
            ),
            (
                json!({"kty": "EC", "crv": "P-256", "x": encoded(33), "y": encoded(32)}),
                JwkError::Coordinates,
            ),
            (
                json!({"kty": "RSA", "n": encoded(1025), "e": "AQAB"}),
                JwkError::Long,
            ),
            (
                json!({"kty": "RSA", "n": encoded(256), "e": encoded(5)}),
                JwkError::Long,
            ),
            (
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(31)}),
                JwkError::Parameters,
            ),
        ] {
            assert_eq!(key(json.clone()).err(), Some(reason), "{json}");
        }
        let padded = URL_SAFE_NO_PAD.encode([vec![0], vec![0xff; 255]].concat());
        assert_eq!(
            key(json!({"kty": "RSA", "n": padded, "e": "AQAB"})).err(),
            Some(JwkError::Weak)
        );
    }

    #[test]
    fn a_key_fits_its_own_algorithms_only() {
        let fits = |json: Value| {
            let key = key(json).ok().unwrap();
            move |algorithm| key.fits(algorithm)
        };
        let any_rsa = fits(json!({"kty": "RSA", "n": encoded(256), "e": "AQAB"}));
        assert!(any_rsa(Algorithm::RS256) && any_rsa(Algorithm::PS512));
        assert!(!any_rsa(Algorithm::ES256) && !any_rsa(Algorithm::EdDSA));
        let rs256 = fits(json!({"kty": "RSA", "n": encoded(256), "e": "AQAB", "alg": "RS256"}));
        assert!(rs256(Algorithm::RS256) && !rs256(Algorithm::RS512) && !rs256(Algorithm::PS256));
        let p384 = fits(json!({"kty": "EC", "crv": "P-384", "x": encoded(48), "y": encoded(48)}));
        assert!(p384(Algorithm::ES384) && !p384(Algorithm::ES256));
    }

    #[test]
    fn zeros_in_front_make_no_other_key() {
        let rsa = |zeros: usize| {
            let padded = |number: &[u8]| URL_SAFE_NO_PAD.encode([vec![0; zeros], number.to_vec()].concat());
            json!({"kty": "RSA", "n": padded(&[0xff; 256]), "e": padded(&[1, 0, 1])})
        };
        let plain = key(rsa(0)).ok().unwrap();
        assert!(plain.is_same(&key(rsa(1)).ok().unwrap()));
        assert!(plain.is_same(&key(rsa(9)).ok().unwrap()));
    }

    #[test]
    fn other_material_under_the_same_id_is_another_key() {
        let rsa =
            |byte| json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([byte; 256]), "e": "AQAB", "kid": "k"});
        let first = key(rsa(0xff)).ok().unwrap();
        assert!(first.is_same(&key(rsa(0xff)).ok().unwrap()));
        assert!(!first.is_same(&key(rsa(0xfd)).ok().unwrap()));
    }
}

//! Signatures: which of the keys that a token may mean has signed it?

use std::sync::Arc;

use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Validation, crypto, decode};
use serde_json::{Map, Value};

use super::algorithm::ED25519;
use super::error::TokenError;
use super::issuer::{Candidates, VerifyingKey};
use super::token::UnverifiedToken;
use super::unique_map::UniqueMap;
use crate::config::Algorithm;

/// A token with a good signature.
pub(super) struct Verified {
    pub(super) key: Arc<VerifyingKey>,
    pub(super) claims: Map<String, Value>,
}

/// Tries the keys in turn.
///
/// # Errors
/// [`TokenError::Signature`] if none of them has signed the token, [`TokenError::AmbiguousKey`] if others may have,
/// and what the verifying library has against the claims.
pub(super) fn by_one_of(
    candidates: &Candidates,
    token: &UnverifiedToken<'_>,
    validation: &Validation,
) -> Result<Verified, TokenError> {
    for key in &candidates.keys {
        match claims(token, key, validation) {
            Err(TokenError::Signature) => {}
            Err(reason) => return Err(reason),
            Ok(claims) => {
                let key = key.clone();
                return Ok(Verified { key, claims });
            }
        }
    }
    Err(match candidates.more {
        true => TokenError::AmbiguousKey,
        false => TokenError::Signature,
    })
}

/// The claims under a good signature.
fn claims(
    token: &UnverifiedToken<'_>,
    key: &VerifyingKey,
    validation: &Validation,
) -> Result<Map<String, Value>, TokenError> {
    if token.algorithm() == ED25519 {
        return ed25519_claims(token, key);
    }
    let decoded = decode::<UniqueMap>(token.text(), key.decoding(), validation);
    let decoded = decoded.map_err(|error| rejection(&error))?;
    Ok(decoded.claims.0)
}

/// The same for the newer name of the algorithm, at which the library ends before it looks at the signature. What
/// it checks of the claims, [`super::provider`] checks once more for all tokens.
fn ed25519_claims(token: &UnverifiedToken<'_>, key: &VerifyingKey) -> Result<Map<String, Value>, TokenError> {
    let (message, signature) = token.text().rsplit_once('.').ok_or(TokenError::Signature)?;
    let algorithm = Algorithm::EdDSA.to_jwt();
    match crypto::verify(signature, message.as_bytes(), key.decoding(), algorithm) {
        Ok(true) => Ok(token.claims().clone()),
        Ok(false) | Err(_) => Err(TokenError::Signature),
    }
}

fn rejection(error: &JwtError) -> TokenError {
    const KNOWN_CLAIMS: [&str; 4] = ["exp", "nbf", "aud", "iss"];
    match error.kind() {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYetValid,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::InvalidIssuer => TokenError::Claim("iss"),
        ErrorKind::InvalidAlgorithm => TokenError::UnfitKey,
        ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => {
            let known = KNOWN_CLAIMS.into_iter().find(|known| known == name);
            TokenError::Claim(known.unwrap_or("exp"))
        }
        ErrorKind::Json(_) => TokenError::Claims,
        // Only damage between the header and the signature is left.
        _ => TokenError::Signature,
    }
}

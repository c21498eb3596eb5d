//! One configured issuer with everything that its tokens must satisfy.

use std::sync::Arc;
use std::time::SystemTime;

use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Validation, decode};
use serde_json::{Map, Value};

use super::claims::{Times, Tolerance};
use super::error::{Error, KeyLabel, SetupError, TokenError};
use super::identity::{Identity, TokenDigest};
use super::issuer::{Issuer, KeyError, KeyLookupError, KeyTiming, VerifyingKey};
use super::scope::{Granted, Rules};
use super::stats::AuthStats;
use super::token::UnverifiedToken;
use super::unique_map::UniqueMap;
use crate::config::{Algorithm, ProviderConfig};
use crate::tasks::Tasks;

/// An entry of `oidc_providers`, ready to judge tokens.
pub(super) struct Provider {
    pub(super) issuer: Arc<Issuer>,
    /// The accepted algorithms. One `Validation` each: the library refuses every token if a
    /// `Validation` mixes families.
    algorithms: Vec<(Algorithm, Validation)>,
    tolerance: Tolerance,
    rules: Rules,
}

/// A token that passed every check but the rules.
pub(super) struct VerifiedToken {
    pub(super) key: Arc<VerifyingKey>,
    claims: Map<String, Value>,
    expires: SystemTime,
}

impl Provider {
    /// Compiles the rules and starts to fetch keys.
    pub(super) fn start(
        config: &ProviderConfig,
        timing: KeyTiming,
        stats: &Arc<AuthStats>,
        tasks: &Tasks,
    ) -> Result<Self, SetupError> {
        let (allow_if, write_if) = (config.allow_if.as_deref(), config.write_if.as_deref());
        let rules = Rules::compile(&config.cache_key_exprs, config.scopes, allow_if, write_if);
        let url = config.url.clone();
        let rules = rules.map_err(|source| SetupError::Rules { url, source })?;
        if config.audiences.is_empty() {
            tracing::warn!(issuer = %config.url, "no `audiences`: tokens made for other services are accepted");
        }
        let algorithms = config.algorithms.iter();
        let algorithms = algorithms.map(|&algorithm| (algorithm, validation(algorithm, config)));
        Ok(Self {
            algorithms: algorithms.collect(),
            tolerance: Tolerance {
                leeway: config.leeway,
                max_age: config.max_age,
            },
            rules,
            issuer: Issuer::start(config, timing, stats.clone(), tasks)?,
        })
    }

    /// Checks signature and registered claims. The token names this provider.
    pub(super) async fn verify(&self, token: &UnverifiedToken<'_>) -> Result<VerifiedToken, Error> {
        let reject = |reason| Error::Rejected {
            issuer: self.issuer.url().clone(),
            key: KeyLabel::new(token.key_id()),
            reason,
        };
        let named = Algorithm::from_header(token.algorithm());
        let mut algorithms = self.algorithms.iter();
        let accepted = algorithms.find(|(algorithm, _)| Some(*algorithm) == named);
        let (algorithm, validation) = accepted.ok_or_else(|| reject(TokenError::Algorithm))?;
        let found = self.issuer.key(token.key_id(), *algorithm).await;
        let key = found.map_err(|error| match error {
            KeyError::Lookup(KeyLookupError::Unknown) => reject(TokenError::UnknownKey),
            KeyError::Lookup(KeyLookupError::Unfit) => reject(TokenError::UnfitKey),
            KeyError::Lookup(KeyLookupError::Ambiguous) => reject(TokenError::AmbiguousKey),
            KeyError::Unavailable(retry_after) => Error::KeysUnavailable {
                issuer: self.issuer.url().clone(),
                retry_after,
            },
        })?;
        let UniqueMap(claims) = decode(token.text(), key.decoding(), validation)
            .map_err(|error| reject(rejection(&error)))?
            .claims;
        let times = Times::read(&claims).map_err(reject)?;
        let expires = times.check(SystemTime::now(), self.tolerance).map_err(reject)?;
        Ok(VerifiedToken { key, claims, expires })
    }

    /// Applies the rules: which namespaces may the bearer read, and in which does it write?
    pub(super) fn grant(&self, verified: &VerifiedToken) -> Result<Granted, Error> {
        let issuer = self.issuer.url();
        let granted = self.rules.apply(issuer, &verified.claims);
        granted.map_err(|source| Error::Forbidden {
            issuer: issuer.clone(),
            source,
        })
    }

    pub(super) fn identity(
        &self,
        token: &UnverifiedToken<'_>,
        verified: &VerifiedToken,
        granted: &Granted,
    ) -> Identity {
        let subject = verified.claims.get("sub").and_then(Value::as_str);
        Identity {
            issuer: self.issuer.url().clone(),
            subject: subject.unwrap_or_default().into(),
            scope: granted.scope.clone(),
            may_write: granted.may_write,
            expires: verified.expires,
            token: TokenDigest::of(token.text()),
        }
    }
}

/// The checks of the library. By default it requires no claim, not even those that it compares.
fn validation(algorithm: Algorithm, config: &ProviderConfig) -> Validation {
    let mut validation = Validation::new(algorithm.to_jwt());
    validation.leeway = config.leeway.as_secs();
    validation.validate_nbf = true;
    validation.set_issuer(&[&config.url]);
    if config.audiences.is_empty() {
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss"]);
    } else {
        validation.set_audience(&config.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    }
    validation
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

//! One configured issuer with everything that its tokens must satisfy.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jsonwebtoken::Validation;
use serde_json::{Map, Value};

use super::claims::{self, Times, Tolerance};
use super::error::{Error, KeyLabel, SetupError, TokenError};
use super::identity::{Identity, TokenDigest};
use super::issuer::{Issuer, KeyError, KeyLookupError, KeyTiming, VerifyingKey};
use super::scope::{Granted, Rules};
use super::stats::AuthStats;
use super::tenancy::TenantSource;
use super::token::UnverifiedToken;
use super::verify::{self, Verified};
use crate::config::{Algorithm, ProviderConfig};
use crate::tasks::Tasks;

/// An entry of `oidc_providers`, ready to judge tokens.
pub(super) struct Provider {
    pub(super) issuer: Arc<Issuer>,
    /// The accepted algorithms. One `Validation` each: the library refuses every token if a
    /// `Validation` mixes families.
    algorithms: Vec<(Algorithm, Validation)>,
    /// Accepted values of `aud`; none accepts any.
    audiences: Vec<String>,
    tolerance: Tolerance,
    rules: Rules,
    /// The claims that a job token of this issuer has to hold.
    claim_names: BTreeSet<String>,
    /// Whether the log has it that tokens of this issuer name no project.
    told_fallback: AtomicBool,
}

/// A token that passed every check but the rules.
pub(super) struct VerifiedToken {
    pub(super) key: Arc<VerifyingKey>,
    pub(super) claims: Map<String, Value>,
    pub(super) expires: SystemTime,
}

impl Provider {
    /// Compiles the rules and starts to fetch keys.
    pub(super) fn start(
        config: &ProviderConfig,
        timing: KeyTiming,
        stats: &Arc<AuthStats>,
        tasks: &Tasks,
    ) -> Result<Self, SetupError> {
        let rules = Rules::compile(config);
        let url = config.url.clone();
        let rules = rules.map_err(|source| SetupError::Rules { url, source })?;
        if config.audiences.is_empty() {
            tracing::warn!(issuer = %config.url, "no `audiences`: tokens made for other services are accepted");
        }
        let algorithms = config.algorithms.iter();
        let algorithms = algorithms.map(|&algorithm| (algorithm, validation(algorithm, config)));
        Ok(Self {
            algorithms: algorithms.collect(),
            audiences: config.audiences.clone(),
            tolerance: Tolerance {
                leeway: config.leeway,
                max_age: config.max_age,
            },
            claim_names: rules.claim_names(),
            rules,
            told_fallback: AtomicBool::new(false),
            issuer: Issuer::start(config, timing, stats.clone(), tasks)?,
        })
    }

    /// Checks signature and registered claims. The token names this provider.
    pub(super) async fn verify(&self, token: &UnverifiedToken<'_>) -> Result<VerifiedToken, Error> {
        self.verify_within(token, None).await
    }

    /// [`Provider::verify`] for a token whose time has run out at most `grace` ago.
    pub(super) async fn verify_late(
        &self,
        token: &UnverifiedToken<'_>,
        grace: Duration,
    ) -> Result<VerifiedToken, Error> {
        self.verify_within(token, Some(grace)).await
    }

    async fn verify_within(
        &self,
        token: &UnverifiedToken<'_>,
        grace: Option<Duration>,
    ) -> Result<VerifiedToken, Error> {
        let reject = |reason| Error::Rejected {
            issuer: self.issuer.url().clone(),
            key: KeyLabel::new(token.key_id()),
            reason,
        };
        let named = Algorithm::from_header(token.algorithm());
        let mut algorithms = self.algorithms.iter();
        let accepted = algorithms.find(|(algorithm, _)| Some(*algorithm) == named);
        let (algorithm, validation) = accepted.ok_or_else(|| reject(TokenError::Algorithm))?;
        let found = self.issuer.candidates(token.key_id(), *algorithm).await;
        let candidates = found.map_err(|error| match error {
            KeyError::Lookup(KeyLookupError::Unknown) => reject(TokenError::UnknownKey),
            KeyError::Lookup(KeyLookupError::Unfit) => reject(TokenError::UnfitKey),
            KeyError::Unavailable(retry_after) => Error::KeysUnavailable {
                issuer: self.issuer.url().clone(),
                retry_after,
            },
        })?;
        let mut validation = Cow::Borrowed(validation);
        if grace.is_some() {
            validation.to_mut().validate_exp = false;
        }
        let mut verified = verify::by_one_of(&candidates, token, &validation);
        if let Err(TokenError::Signature | TokenError::AmbiguousKey) = verified {
            let newer = self
                .issuer
                .newer_candidates(token.key_id(), *algorithm, &candidates);
            if let Some(newer) = newer.await {
                verified = verify::by_one_of(&newer, token, &validation);
            }
        }
        let Verified { key, claims } = verified.map_err(reject)?;
        let times = Times::read(&claims).map_err(reject)?;
        let (now, tolerance) = (SystemTime::now(), self.tolerance);
        let checked = match grace {
            None => times.check(now, tolerance),
            Some(grace) => times.check_late(now, tolerance, grace),
        };
        let expires = checked.map_err(reject)?;
        claims::check_audience(&claims, &self.audiences).map_err(reject)?;
        Ok(VerifiedToken { key, claims, expires })
    }

    /// Checks once more for whom a token was made.
    pub(super) fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        let checked = claims::check_audience(claims, &self.audiences);
        checked.map_err(|reason| Error::Rejected {
            issuer: self.issuer.url().clone(),
            key: KeyLabel::new(None),
            reason,
        })
    }

    /// The one of this issuer. Chosen by equality of bytes: no case folding, no trailing slash forgiven.
    pub(super) fn of_issuer<'p>(all: &'p [Self], url: &str) -> Option<&'p Self> {
        all.iter().find(|provider| **provider.issuer.url() == *url)
    }

    /// Accepted values of `aud`; none accepts any.
    pub(super) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The claims that the rules of now use, those that make a tenant, and those that say of which run and job a token is.
    pub(super) fn claim_names(&self) -> &BTreeSet<String> {
        &self.claim_names
    }

    /// Applies the rules to verified claims: which namespaces may the bearer read, and in which does it write?
    pub(super) fn grant(&self, claims: &Map<String, Value>) -> Result<Granted, Error> {
        let issuer = self.issuer.url();
        let granted = self.rules.apply(issuer, claims);
        granted.map_err(|source| Error::Forbidden {
            issuer: issuer.clone(),
            source,
        })
    }

    /// Tells the operator once if the tokens of this issuer name no project: shares are hardly fair then.
    pub(super) fn note_fallback(&self, granted: &Granted) {
        if granted.tenancy.source == TenantSource::Namespace
            && !self.told_fallback.swap(true, Ordering::Relaxed)
        {
            let issuer = self.issuer.url();
            tracing::warn!(
                %issuer,
                "a token names no repository or project, so its first namespace is a tenant of its own; set `tenant` of \
                 this provider"
            );
        }
    }

    pub(super) fn identity_of(
        &self,
        token: &UnverifiedToken<'_>,
        verified: &VerifiedToken,
        granted: &Granted,
    ) -> Identity {
        let of_token = (verified.expires, TokenDigest::of(token.text()));
        self.identity(&verified.claims, granted, of_token)
    }

    /// The bearer of a token with these claims, its end and its digest.
    pub(super) fn identity(
        &self,
        claims: &Map<String, Value>,
        granted: &Granted,
        (expires, token): (SystemTime, TokenDigest),
    ) -> Identity {
        let subject = claims.get("sub").and_then(Value::as_str);
        Identity {
            issuer: self.issuer.url().clone(),
            subject: subject.unwrap_or_default().into(),
            scope: granted.scope.clone(),
            may_write: granted.may_write,
            tenancy: granted.tenancy.tenancy.clone(),
            expires,
            token,
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

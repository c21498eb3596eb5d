//! Job tokens by the rules of now.
//!
//! What belongs to the token of the CI system alone (signature, times, `max_age`) was checked in the exchange. All that an
//! operator may have changed since is checked here: the provider, its audiences, its rules.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::claims::at;
use super::error::Error;
use super::identity::{Identity, TokenDigest};
use super::job_token::{self, JobTokenError, JobTokenKeys, JobTokens, Payload};
use super::provider::Provider;
use super::scope::Granted;

/// A job token that was opened, and what it grants now.
pub(super) struct JudgedToken<'p> {
    pub(super) provider: &'p Provider,
    pub(super) payload: Payload,
    /// In seconds since 1970.
    pub(super) expires: u64,
    pub(super) granted: Granted,
}

/// Judges a text that is a job token, at the time `now`. It may have expired at most `grace` ago.
///
/// # Errors
/// The token is not good, or the rules of its provider refuse it.
pub(super) fn judge<'p>(
    job_tokens: &JobTokens,
    providers: &'p [Provider],
    text: &str,
    (now, grace): (SystemTime, Duration),
) -> Result<JudgedToken<'p>, Error> {
    let (keys, _) = job_tokens.in_use()?;
    let (payload, expires) = open(keys, text)?;
    if at(expires) + grace <= now {
        return Err(JobTokenError::Expired.into());
    }
    let (first, _) = payload.first(expires);
    match job_tokens.revoked().contains(first) {
        None => return Err(JobTokenError::RevokedUnknown.into()),
        Some(true) => return Err(JobTokenError::Revoked.into()),
        Some(false) => {}
    }
    let provider = Provider::of_issuer(providers, &payload.issuer).ok_or(JobTokenError::IssuerGone)?;
    let names = payload.kept_names.as_ref();
    if names.is_some_and(|names| *names != job_token::names_digest(provider.claim_names())) {
        return Err(JobTokenError::RulesChanged.into());
    }
    provider.check_audience(&payload.claims)?;
    let granted = provider.grant(&payload.claims)?;
    let granted = payload.bound.limit(granted)?;
    Ok(JudgedToken {
        provider,
        payload,
        expires,
        granted,
    })
}

/// What is sealed, and the end of the token's life.
pub(super) fn open(keys: &JobTokenKeys, text: &str) -> Result<(Payload, u64), JobTokenError> {
    let read = job_token::read(text)?;
    let (payload, expires) = keys.open(&read.sealed).ok_or(JobTokenError::Foreign)?;
    let payload = Payload::decode(&payload)?;
    match payload.is_behind(read.front) {
        true => Ok((payload, expires)),
        false => Err(JobTokenError::Foreign),
    }
}

/// The time in seconds since 1970.
pub(crate) fn seconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl JudgedToken<'_> {
    pub(super) fn identity(&self, text: &str) -> Identity {
        let (claims, token) = (&self.payload.claims, TokenDigest::of(text));
        let expires = at(self.expires);
        self.provider.identity(claims, &self.granted, (expires, token))
    }

    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.payload.claims
    }
}

#[cfg(test)]
mod tests {
    use super::super::issuer::KeyTiming;
    use super::super::job_token::Bound;
    use super::super::ticket::SigningKey;
    use super::*;
    use crate::config::{JobTokensConfig, ProviderConfig};
    use crate::tasks::Tasks;
    use serde_json::json;

    /// A server with one provider, and a token of it that ends at 1000.
    async fn world() -> (JobTokens, Vec<Provider>, String) {
        let (tasks, file) = (Tasks::new(), tempfile::NamedTempFile::new().unwrap());
        let config = ProviderConfig {
            jwks_file: Some(file.path().to_owned()),
            ..ProviderConfig::new("https://issuer.test", vec!["claims.sub".into()])
        };
        let provider = Provider::start(&config, KeyTiming::default(), &Default::default(), &tasks).unwrap();
        tasks.finish().await;
        let claims = json!({"sub": "me"}).as_object().unwrap().clone();
        let bound = Bound::of(&provider.grant(&claims).unwrap());
        let payload = Payload::new(&config.url, (claims, String::new()), bound, (900, None));
        let keys = JobTokenKeys::new(&SigningKey::from_bytes(&[1; 32]).unwrap(), None);
        let text = job_token::write(&keys.seal(&payload.encode(), 1000));
        let job_tokens = JobTokens::new(Some(keys), Some(JobTokensConfig::default()));
        (job_tokens, vec![provider], text)
    }

    #[tokio::test]
    async fn a_token_ends_at_its_second_and_may_end_an_upload_later() {
        let (job_tokens, providers, text) = world().await;
        let grace = Duration::from_secs(60);
        let check =
            |now, grace| judge(&job_tokens, &providers, &text, (at(now), grace)).map(|token| token.expires);
        assert_eq!(check(999, Duration::ZERO).unwrap(), 1000);
        let late = check(1000, Duration::ZERO).unwrap_err();
        assert!(late.is_expired() && late.is_invalid_token(), "{late}");
        assert_eq!(check(1059, grace).unwrap(), 1000);
        assert!(check(1060, grace).unwrap_err().is_expired());
    }

    #[tokio::test]
    async fn a_server_without_a_key_or_with_tokens_off_accepts_none() {
        let (job_tokens, providers, text) = world().await;
        for (job_tokens, reason) in [
            (job_tokens.with(None), JobTokenError::Off),
            (
                JobTokens::new(None, Some(JobTokensConfig::default())),
                JobTokenError::NoKey,
            ),
        ] {
            let refused = judge(&job_tokens, &providers, &text, (at(950), Duration::ZERO));
            assert!(matches!(refused, Err(Error::JobToken(found)) if found == reason));
        }
        let gone = judge(&job_tokens, &[], &text, (at(950), Duration::ZERO));
        assert!(matches!(gone, Err(Error::JobToken(JobTokenError::IssuerGone))));
    }
}

//! What a token is and may, for the one who holds it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::authenticator::Authenticator;
use super::claims::Times;
use super::credentials::Credentials;
use super::error::Error;
use super::identity::Identity;
use super::job_token::{self, TokenId};
use super::run_claims;
use super::token::UnverifiedToken;

/// What this server knows of a good token. For its holder: it has values of claims.
#[derive(Debug)]
pub struct Introspection {
    /// Who it stands for, with its rights.
    pub identity: Identity,
    /// When it was issued, in seconds since 1970.
    pub issued_at: Option<u64>,
    /// The end of its life in seconds since 1970, without leeway.
    pub expires: Option<u64>,
    /// The id of a job token.
    pub id: Option<TokenId>,
    /// The run that it belongs to.
    pub run: Option<String>,
    /// The job in that run.
    pub job: Option<String>,
}

impl Authenticator {
    /// What these credentials are. Always verifies anew.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    pub async fn introspect(&self, credentials: &Credentials<'_>) -> Result<Introspection, Error> {
        let text = credentials.token()?;
        if job_token::is_job_token(&text) {
            let judged = self.judge_job_token(&text, Duration::ZERO)?;
            let times = (Some(judged.payload.issued_at), Some(judged.expires));
            let found = Introspection::new(judged.identity(&text), judged.claims(), times);
            return Ok(Introspection {
                id: Some(judged.payload.id),
                ..found
            });
        }
        let token = UnverifiedToken::parse(&text)?;
        let (provider, verified, granted) = self.verified(&token).await?;
        let identity = provider.identity_of(&token, &verified, &granted);
        let times = Times::read(&verified.claims).ok();
        let times = (
            times.and_then(|times| times.issued),
            times.and_then(|times| times.expires),
        );
        Ok(Introspection::new(identity, &verified.claims, times))
    }
}

impl Introspection {
    fn new(
        identity: Identity,
        claims: &Map<String, Value>,
        (issued_at, expires): (Option<u64>, Option<u64>),
    ) -> Self {
        Self {
            identity,
            issued_at,
            expires,
            id: None,
            run: run_claims::run(claims),
            job: run_claims::job(claims),
        }
    }
}

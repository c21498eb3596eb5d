//! From the token of a CI system, or a job token, to a job token.
//!
//! What is sealed are the claims and the restriction, not the verdict: each use is judged by the rules of then. A token that
//! is made of a job token never lives longer and never may more.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::authenticator::Authenticator;
use super::claims::at;
use super::credentials::Credentials;
use super::error::Error;
use super::exchange_error::ExchangeError;
use super::identity::{Identity, TokenDigest};
use super::job_token::{
    self, Bound, JobTokenForm, JobTokenKeys, MAX_CHARS, Payload, Restriction, TokenId, read_only_reason,
};
use super::judge::seconds_now;
use super::provider::Provider;
use super::scope::Granted;
use super::token::UnverifiedToken;

/// The shortest life that may be asked for, in seconds.
const MIN_TTL: u64 = 60;
/// How far back a token in the second form begins: its reader compares with its own clock.
const JWT_BEGINS_EARLIER: u64 = 600;

/// What is asked for.
#[derive(Debug)]
pub struct ExchangeRequest<'a> {
    /// The token that is exchanged.
    pub subject: Credentials<'a>,
    /// To what the new one is restricted.
    pub restriction: Restriction,
    /// Its life in seconds, if it is asked for.
    pub ttl: Option<u64>,
    /// How it looks.
    pub form: JobTokenForm,
    /// For whom it is meant: each has to be this server, or an audience of the provider.
    pub targets: &'a [String],
    /// The URL of this server, if it is configured.
    pub base_url: Option<&'a str>,
}

/// A job token that was made just now.
pub struct IssuedToken {
    /// The token itself, a secret.
    pub text: String,
    /// How it looks.
    pub form: JobTokenForm,
    /// Its id.
    pub id: TokenId,
    /// In seconds since 1970.
    pub issued_at: u64,
    /// The end of its life in seconds since 1970: it is good before that second.
    pub expires: u64,
    /// Who it stands for, with its rights.
    pub identity: Identity,
    /// Why it may not write; `None` if it may.
    pub read_only_because: Option<String>,
}

/// The token that is exchanged, once it is known to be good.
struct Subject<'p> {
    provider: &'p Provider,
    claims: Map<String, Value>,
    granted: Granted,
    /// SHA-256 of the token of the CI system.
    digest: String,
    parent: Option<Parent>,
    read_only_because: Option<String>,
}

/// Of a job token that is exchanged.
struct Parent {
    first: (TokenId, u64),
    expires: u64,
    /// Whether claims were left out of it.
    is_cut: bool,
}

impl Authenticator {
    /// Makes a job token.
    ///
    /// # Errors
    /// None are made here; the token that is to be exchanged is not good; or more is asked for than it grants.
    pub async fn exchange(&self, request: &ExchangeRequest<'_>) -> Result<IssuedToken, ExchangeError> {
        let (keys, lifetimes) = self.job_tokens().in_use().map_err(ExchangeError::NotIssued)?;
        if request.ttl.is_some_and(|ttl| ttl < MIN_TTL) {
            return Err(ExchangeError::TtlTooShort);
        }
        let subject = self.counted(self.subject(&request.subject).await)?;
        subject.check_targets(request)?;
        let issued_at = seconds_now();
        let ttl = request.ttl.unwrap_or(lifetimes.default_ttl.as_secs());
        let mut expires = issued_at + ttl.min(lifetimes.max_ttl.as_secs());
        if let Some(parent) = &subject.parent {
            expires = expires.min(parent.expires);
        }
        subject.issue(keys, request, (issued_at, expires))
    }

    async fn subject(&self, credentials: &Credentials<'_>) -> Result<Subject<'_>, Error> {
        let text = credentials.token()?;
        if job_token::is_job_token(&text) {
            let judged = self.judge_job_token(&text, Duration::ZERO)?;
            let because =
                (!judged.granted.may_write).then(|| "the token that was exchanged may not write".to_owned());
            return Ok(Subject {
                provider: judged.provider,
                granted: judged.granted,
                digest: judged.payload.exchanged_from.clone(),
                parent: Some(Parent {
                    first: judged.payload.first(judged.expires),
                    expires: judged.expires,
                    is_cut: judged.payload.kept_names.is_some(),
                }),
                claims: judged.payload.claims,
                read_only_because: because,
            });
        }
        let token = UnverifiedToken::parse(&text)?;
        let (provider, verified, granted) = self.verified(&token).await?;
        Ok(Subject {
            provider,
            read_only_because: read_only_reason(&granted),
            granted,
            digest: URL_SAFE_NO_PAD.encode(TokenDigest::of(&text).as_bytes()),
            claims: verified.claims,
            parent: None,
        })
    }
}

impl Subject<'_> {
    fn check_targets(&self, request: &ExchangeRequest<'_>) -> Result<(), ExchangeError> {
        let trimmed = |url: &str| url.trim_end_matches('/').to_owned();
        let here = request.base_url.map(trimmed);
        let is_good = |target: &String| {
            here.as_ref() == Some(&trimmed(target)) || self.provider.audiences().contains(target)
        };
        match request.targets.iter().all(is_good) {
            true => Ok(()),
            false => Err(ExchangeError::Target),
        }
    }

    fn issue(
        self,
        keys: &JobTokenKeys,
        request: &ExchangeRequest<'_>,
        (issued_at, expires): (u64, u64),
    ) -> Result<IssuedToken, ExchangeError> {
        let Self { provider, claims, .. } = self;
        let narrowed = request.restriction.narrow(self.granted)?;
        let (granted, first) = (narrowed.granted, self.parent.as_ref().map(|parent| parent.first));
        let bound = Bound::of(&granted);
        let issuer = provider.issuer.url();
        let mut payload = Payload::new(issuer, (claims, self.digest), bound, (issued_at, first));
        if self.parent.is_some_and(|parent| parent.is_cut) {
            payload = payload.cut(provider.claim_names());
        }
        let front = (request.form == JobTokenForm::Jwt)
            .then(|| front(&granted, &payload.claims, (issued_at, expires)));
        let mut text = sealed(keys, &payload, front.as_deref(), expires);
        if text.len() > MAX_CHARS {
            payload = payload.cut(provider.claim_names());
            text = sealed(keys, &payload, front.as_deref(), expires);
        }
        if text.len() > MAX_CHARS {
            return Err(ExchangeError::TooLong);
        }
        let token = TokenDigest::of(&text);
        let because = self.read_only_because;
        Ok(IssuedToken {
            identity: provider.identity(&payload.claims, &granted, (at(expires), token)),
            text,
            form: request.form,
            id: payload.id,
            issued_at,
            expires,
            read_only_because: because.or(narrowed.read_only_because.map(str::to_owned)),
        })
    }
}

fn sealed(keys: &JobTokenKeys, payload: &Payload, claims: Option<&str>, expires: u64) -> String {
    match claims {
        None => job_token::write(&keys.seal(&payload.encode(), expires)),
        Some(claims) => {
            let (front, digest) = job_token::write_front(claims);
            let payload = payload.clone().behind(digest);
            job_token::write_jwt(&front, &keys.seal(&payload.encode(), expires))
        }
    }
}

/// What the readers of the second form look at: the namespaces with the bits of GitHub, and numbers for times.
fn front(granted: &Granted, claims: &Map<String, Value>, (issued_at, expires): (u64, u64)) -> String {
    let scope = &granted.scope;
    let written = granted.may_write.then(|| scope.writable());
    let others = scope.readable().filter(|one| Some(*one) != written);
    let entry = |namespace, permission: u8| {
        let name = granted.source.scope_name(claims, namespace);
        serde_json::json!({ "Scope": name, "Permission": permission })
    };
    let reads = |namespace| u8::from(scope.readable().any(|one| one == namespace));
    let mut list: Vec<Value> = written
        .map(|one| entry(one, 2 + reads(one)))
        .into_iter()
        .collect();
    list.extend(others.map(|one| entry(one, 1)));
    let ac = Value::from(list).to_string();
    let begins = issued_at.saturating_sub(JWT_BEGINS_EARLIER);
    serde_json::json!({ "ac": ac, "nbf": begins, "exp": expires }).to_string()
}

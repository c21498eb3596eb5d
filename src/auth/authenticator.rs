//! From credentials to an identity.

use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use super::claims::at;
use super::credentials::Credentials;
use super::error::{Error, SetupError};
use super::explain::{Explanation, Rights};
use super::identity::{ExpiredIdentity, Identity, TokenDigest};
use super::issuer::{KeyTiming, KeysState};
use super::job_token::{JobTokens, Payload, is_job_token};
use super::judge::{self, JudgedToken};
use super::provider::{Provider, VerifiedToken};
use super::scope::Granted;
use super::stats::{AuthStats, count};
use super::token::UnverifiedToken;
use super::token_cache::TokenCache;
use crate::config::ProviderConfig;
use crate::error::{Class, Classify as _};
use crate::tasks::Tasks;

/// Bytes for verified tokens where nobody says another number.
const TOKEN_MEMORY: u64 = 64 << 20;

/// Judges credentials. Cheap to clone; all clones share keys and token cache.
#[derive(Clone)]
pub struct Authenticator {
    shared: Arc<AuthenticatorShared>,
    job_tokens: JobTokens,
}

struct AuthenticatorShared {
    providers: Vec<Provider>,
    tokens: TokenCache,
    stats: Arc<AuthStats>,
}

impl Authenticator {
    /// Starts one background task per provider, which fetches its keys. Never waits for the
    /// network: an issuer that is down delays its own tokens and nothing else. Needs a runtime.
    ///
    /// # Errors
    /// If the configuration cannot work: a URL that cannot be an issuer or stands there twice, an
    /// expression that does not compile, no root certificates on this machine.
    pub fn start(providers: Vec<ProviderConfig>, tasks: &Tasks) -> Result<Self, SetupError> {
        Self::start_with(providers, tasks, KeyTiming::default())
    }

    /// [`Authenticator::start`] with a bound of the bytes that tokens take which were verified a moment ago.
    ///
    /// # Errors
    /// As [`Authenticator::start`].
    pub fn start_within(
        providers: Vec<ProviderConfig>,
        tasks: &Tasks,
        token_memory: u64,
    ) -> Result<Self, SetupError> {
        Self::begin(providers, tasks, KeyTiming::default(), token_memory)
    }

    /// [`Authenticator::start`] with other intervals, for tests and `chacha dev`.
    ///
    /// # Errors
    /// As [`Authenticator::start`].
    pub fn start_with(
        configs: Vec<ProviderConfig>,
        tasks: &Tasks,
        timing: KeyTiming,
    ) -> Result<Self, SetupError> {
        Self::begin(configs, tasks, timing, TOKEN_MEMORY)
    }

    fn begin(
        configs: Vec<ProviderConfig>,
        tasks: &Tasks,
        timing: KeyTiming,
        token_memory: u64,
    ) -> Result<Self, SetupError> {
        install_crypto();
        let stats = Arc::new(AuthStats::default());
        let mut providers: Vec<Provider> = Vec::with_capacity(configs.len());
        for config in &configs {
            if Provider::of_issuer(&providers, &config.url).is_some() {
                let url = config.url.clone();
                return Err(SetupError::Duplicate { url });
            }
            providers.push(Provider::start(config, timing, &stats, tasks)?);
        }
        Ok(Self {
            shared: Arc::new(AuthenticatorShared {
                providers,
                tokens: TokenCache::new(token_memory),
                stats,
            }),
            job_tokens: JobTokens::default(),
        })
    }

    /// The same, which makes and accepts job tokens.
    #[must_use]
    pub fn with_job_tokens(mut self, job_tokens: JobTokens) -> Self {
        self.job_tokens = job_tokens;
        self
    }

    /// What makes and opens job tokens.
    pub fn job_tokens(&self) -> &JobTokens {
        &self.job_tokens
    }

    /// The identity of the sender of these credentials.
    ///
    /// A token that was verified a moment ago costs one hash and one look-up. Any other is
    /// verified; that waits, at most a few seconds, only if its key is not known yet.
    ///
    /// # Errors
    /// Unauthenticated, forbidden or unavailable: see [`Error`].
    pub async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Arc<Identity>, Error> {
        if let Some(identity) = self.remembered(credentials) {
            count(&self.shared.stats.remembered);
            return Ok(identity);
        }
        // Boxed to keep the future of the common case small.
        self.counted(Box::pin(self.judge(credentials)).await)
    }

    fn remembered(&self, credentials: &Credentials<'_>) -> Option<Arc<Identity>> {
        let generation = self.job_tokens.revoked().generation();
        let tokens = &self.shared.tokens;
        tokens.get(credentials, (SystemTime::now(), generation))
    }

    /// Counts what came of a token that was looked at.
    pub(super) fn counted<T>(&self, judged: Result<T, Error>) -> Result<T, Error> {
        let stats = &self.shared.stats;
        count(match &judged {
            Ok(_) => &stats.verified,
            Err(error) if error.class() == Class::Unavailable => &stats.unavailable,
            Err(_) => &stats.refused,
        });
        judged
    }

    async fn judge(&self, credentials: &Credentials<'_>) -> Result<Arc<Identity>, Error> {
        let text = credentials.token()?;
        // Before it is judged: what is revoked meanwhile counts next time.
        let generation = self.job_tokens.revoked().generation();
        let (identity, key) = match is_job_token(&text) {
            true => (self.judge_job_token(&text, Duration::ZERO)?.identity(&text), None),
            false => {
                let token = UnverifiedToken::parse(&text)?;
                let (provider, verified, granted) = self.verified(&token).await?;
                provider.note_fallback(&granted);
                (
                    provider.identity_of(&token, &verified, &granted),
                    Some(verified.key),
                )
            }
        };
        let (identity, now) = (Arc::new(identity), SystemTime::now());
        let kept = Arc::clone(&identity);
        let tokens = &self.shared.tokens;
        tokens.insert(credentials, kept, (key, generation), now);
        Ok(identity)
    }

    /// Who a job token stands for that was opened, if the rules of now know that.
    pub(super) fn known_identity(&self, payload: &Payload, (text, expires): (&str, u64)) -> Option<Identity> {
        let provider = Provider::of_issuer(&self.shared.providers, &payload.issuer)?;
        let granted = provider.grant(&payload.claims).ok()?;
        let of_token = (at(expires), TokenDigest::of(text));
        Some(provider.identity(&payload.claims, &granted, of_token))
    }

    /// A text that is a job token, by the rules of now. It may have expired at most `grace` ago.
    pub(super) fn judge_job_token(&self, text: &str, grace: Duration) -> Result<JudgedToken<'_>, Error> {
        let times = (SystemTime::now(), grace);
        judge::judge(&self.job_tokens, &self.shared.providers, text, times)
    }

    /// The rights that credentials would have which [`Authenticator::authenticate`] refused with `error`, if nothing is
    /// wrong with them but that their time has run out, by the token's own `exp` or by `max_age`, at most `grace` ago.
    /// All else is judged by the rules of now.
    ///
    /// # Errors
    /// `error` if it says something else; otherwise why the token is not good.
    pub async fn late(
        &self,
        credentials: &Credentials<'_>,
        error: Error,
        grace: Duration,
    ) -> Result<ExpiredIdentity, Error> {
        if !error.is_expired() {
            return Err(error);
        }
        let text = credentials.token()?;
        if is_job_token(&text) {
            let judged = self.judge_job_token(&text, grace)?;
            return Ok(ExpiredIdentity::new(judged.identity(&text)));
        }
        let token = UnverifiedToken::parse(&text)?;
        let provider = self.provider(&token)?;
        let verified = provider.verify_late(&token, grace).await?;
        let granted = provider.grant(&verified.claims)?;
        let identity = provider.identity_of(&token, &verified, &granted);
        Ok(ExpiredIdentity::new(identity))
    }

    /// Explains what these credentials grant and why, for an operator that may see claims. Always verifies anew;
    /// changes nothing.
    pub async fn explain(&self, credentials: &Credentials<'_>) -> Explanation {
        let text = credentials.token();
        if let Some(text) = text.as_deref().ok().filter(|text| is_job_token(text)) {
            let judged = self.judge_job_token(text, Duration::ZERO);
            let rights = judged.map(|judged| Rights::new(judged.identity(text), judged.granted, None));
            return Explanation::new(None, rights);
        }
        let text = text.as_deref().map_err(|reason| *reason);
        match text.and_then(UnverifiedToken::parse) {
            Ok(token) => Explanation::new(Some(&token), self.rights(&token).await),
            Err(reason) => Explanation::new(None, Err(reason.into())),
        }
    }

    async fn rights(&self, token: &UnverifiedToken<'_>) -> Result<Rights, Error> {
        let (provider, verified, granted) = self.verified(token).await?;
        let identity = provider.identity_of(token, &verified, &granted);
        let key = verified.key.id().map(Into::into);
        Ok(Rights::new(identity, granted, key))
    }

    /// A token of a CI system: its provider, what was verified, and what the rules of now grant.
    pub(super) async fn verified(
        &self,
        token: &UnverifiedToken<'_>,
    ) -> Result<(&Provider, VerifiedToken, Granted), Error> {
        let provider = self.provider(token)?;
        let verified = provider.verify(token).await?;
        let granted = provider.grant(&verified.claims)?;
        Ok((provider, verified, granted))
    }

    fn provider(&self, token: &UnverifiedToken<'_>) -> Result<&Provider, Error> {
        Provider::of_issuer(&self.shared.providers, token.issuer()).ok_or(Error::UnknownIssuer)
    }

    /// The configured issuers, and whether their tokens can be verified now.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, bool)> {
        let issuers = self.shared.providers.iter().map(|provider| &provider.issuer);
        issuers.map(|issuer| (&**issuer.url(), issuer.has_keys()))
    }

    /// The configured issuers, and the audiences that their tokens may name; none for any.
    pub fn audiences(&self) -> impl Iterator<Item = (&str, &[String])> {
        let providers = self.shared.providers.iter();
        providers.map(|provider| (&**provider.issuer.url(), provider.audiences()))
    }

    /// The configured issuers, and how their keys stand.
    pub fn keys(&self) -> impl Iterator<Item = (&str, KeysState)> {
        let issuers = self.shared.providers.iter().map(|provider| &provider.issuer);
        issuers.map(|issuer| (&**issuer.url(), issuer.keys_state()))
    }

    /// Bytes that tokens take which were verified a moment ago.
    pub fn token_bytes(&self) -> u64 {
        self.shared.tokens.bytes()
    }

    /// The counters of this layer.
    pub fn stats(&self) -> &Arc<AuthStats> {
        &self.shared.stats
    }
}

/// Chooses the cryptography of `jsonwebtoken`. Without a choice the crate panics at the first token as soon as any
/// other crate of the build switches on its second backend.
fn install_crypto() {
    static INSTALL_ONCE: Once = Once::new();
    INSTALL_ONCE.call_once(|| {
        // Fails only if another provider is installed already, which then is in use.
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        provider.install_default().ok();
    });
}

/// Shows the issuers only: everything else is secret.
impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.issuers().map(|(issuer, _)| issuer))
            .finish()
    }
}

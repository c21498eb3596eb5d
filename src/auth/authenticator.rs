//! From credentials to an identity.

use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use super::credentials::Credentials;
use super::error::{Error, SetupError};
use super::explain::{Explanation, Rights};
use super::identity::{ExpiredIdentity, Identity};
use super::issuer::{KeyTiming, KeysState};
use super::provider::Provider;
use super::stats::{AuthStats, count};
use super::token::UnverifiedToken;
use super::token_cache::TokenCache;
use crate::config::ProviderConfig;
use crate::error::{Class, Classify as _};
use crate::tasks::Tasks;

/// Judges credentials. Cheap to clone; all clones share keys and token cache.
#[derive(Clone)]
pub struct Authenticator {
    shared: Arc<AuthenticatorShared>,
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

    /// [`Authenticator::start`] with other intervals, for tests and `chacha dev`.
    ///
    /// # Errors
    /// As [`Authenticator::start`].
    pub fn start_with(
        configs: Vec<ProviderConfig>,
        tasks: &Tasks,
        timing: KeyTiming,
    ) -> Result<Self, SetupError> {
        install_crypto();
        let stats = Arc::new(AuthStats::default());
        let mut providers: Vec<Provider> = Vec::with_capacity(configs.len());
        for config in &configs {
            if providers
                .iter()
                .any(|provider| **provider.issuer.url() == *config.url)
            {
                let url = config.url.clone();
                return Err(SetupError::Duplicate { url });
            }
            providers.push(Provider::start(config, timing, &stats, tasks)?);
        }
        Ok(Self {
            shared: Arc::new(AuthenticatorShared {
                providers,
                tokens: TokenCache::new(),
                stats,
            }),
        })
    }

    /// The identity of the sender of these credentials.
    ///
    /// A token that was verified a moment ago costs one hash and one look-up. Any other is
    /// verified; that waits, at most a few seconds, only if its key is not known yet.
    ///
    /// # Errors
    /// Unauthenticated, forbidden or unavailable: see [`Error`].
    pub async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Arc<Identity>, Error> {
        if let Some(identity) = self.shared.tokens.get(credentials, SystemTime::now()) {
            count(&self.shared.stats.remembered);
            return Ok(identity);
        }
        // Boxed to keep the future of the common case small.
        let judged = Box::pin(self.judge(credentials)).await;
        let stats = &self.shared.stats;
        count(match &judged {
            Ok(_) => &stats.verified,
            Err(error) if error.class() == Class::Unavailable => &stats.unavailable,
            Err(_) => &stats.refused,
        });
        judged
    }

    async fn judge(&self, credentials: &Credentials<'_>) -> Result<Arc<Identity>, Error> {
        let jwt = credentials.jwt()?;
        let token = UnverifiedToken::parse(&jwt)?;
        let provider = self.provider(&token)?;
        let verified = provider.verify(&token).await?;
        let granted = provider.grant(&verified)?;
        provider.note_fallback(&granted);
        let identity = Arc::new(provider.identity(&token, &verified, &granted));
        let (kept, now) = (Arc::clone(&identity), SystemTime::now());
        self.shared.tokens.insert(credentials, kept, verified.key, now);
        Ok(identity)
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
        let jwt = credentials.jwt()?;
        let token = UnverifiedToken::parse(&jwt)?;
        let provider = self.provider(&token)?;
        let verified = provider.verify_late(&token, grace).await?;
        let granted = provider.grant(&verified)?;
        let identity = provider.identity(&token, &verified, &granted);
        Ok(ExpiredIdentity::new(identity))
    }

    /// Explains what these credentials grant and why, for an operator that may see claims. Always verifies anew;
    /// changes nothing.
    pub async fn explain(&self, credentials: &Credentials<'_>) -> Explanation {
        let jwt = credentials.jwt();
        let token = jwt.as_deref().map_err(|reason| *reason);
        match token.and_then(UnverifiedToken::parse) {
            Ok(token) => Explanation::new(Some(&token), self.rights(&token).await),
            Err(reason) => Explanation::new(None, Err(reason.into())),
        }
    }

    async fn rights(&self, token: &UnverifiedToken<'_>) -> Result<Rights, Error> {
        let provider = self.provider(token)?;
        let verified = provider.verify(token).await?;
        let granted = provider.grant(&verified)?;
        let identity = provider.identity(token, &verified, &granted);
        let skipped = granted.skipped.into_iter();
        let skipped = skipped.map(|(index, reason)| (index, reason.to_string()));
        Ok(Rights {
            key: verified.key.id().map(Into::into),
            identity,
            source: granted.source,
            tenant_source: granted.tenancy.source,
            skipped: skipped.collect(),
            write_error: granted.write_error.map(|reason| reason.to_string()),
            protect_error: granted.tenancy.protect_error.map(|reason| reason.to_string()),
        })
    }

    /// Chooses by equality of bytes: no case folding, no trailing slash forgiven.
    fn provider(&self, token: &UnverifiedToken<'_>) -> Result<&Provider, Error> {
        let mut providers = self.shared.providers.iter();
        let named = providers.find(|provider| **provider.issuer.url() == *token.issuer());
        named.ok_or(Error::UnknownIssuer)
    }

    /// The configured issuers, and whether their tokens can be verified now.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, bool)> {
        let issuers = self.shared.providers.iter().map(|provider| &provider.issuer);
        issuers.map(|issuer| (&**issuer.url(), issuer.has_keys()))
    }

    /// The configured issuers, and how their keys stand.
    pub fn keys(&self) -> impl Iterator<Item = (&str, KeysState)> {
        let issuers = self.shared.providers.iter().map(|provider| &provider.issuer);
        issuers.map(|issuer| (&**issuer.url(), issuer.keys_state()))
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

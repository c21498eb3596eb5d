//! Where key sets come from: the issuer itself, through OpenID Connect Discovery or at a place that is configured, or a
//! file.

use std::time::Duration;

use openidconnect::IssuerUrl;
use url::Url;

use super::super::error::SetupError;
use super::discovery::{Discovery, KeyPlace};
use super::fetch::{FetchError, FetchedKeys};
use super::http::{self, IssuerClient};
use super::key_file::KeyFile;
use super::timing::KeyTiming;
use crate::config::ProviderConfig;
use crate::outbound::{CaFile, Proxies, Route};
use crate::tasks::Tasks;

/// Where the keys of one issuer come from.
pub(super) enum KeySource {
    /// OpenID Connect Discovery, or `jwks_url`.
    Issuer(Box<Discovery>),
    /// `jwks_file`.
    File(KeyFile),
}

impl KeySource {
    /// Makes one attempt. The caller sets the time limit.
    pub(super) async fn fetch(&mut self) -> Result<FetchedKeys, FetchError> {
        match self {
            Self::Issuer(discovery) => discovery.fetch().await,
            Self::File(file) => file.fetch().await,
        }
    }

    /// The pause after a good attempt, given the `max-age` of its answer.
    pub(super) fn pause(&self, timing: KeyTiming, max_age: Option<Duration>) -> Duration {
        match self {
            Self::Issuer(_) => timing.refresh(max_age),
            Self::File(_) => timing.file,
        }
    }

    /// Checks the URL of a provider, and chooses the source that is configured. Blocking: reads the files of
    /// certificates and proxy.
    ///
    /// # Errors
    /// The URL cannot be an issuer, or one of the files cannot be used.
    pub(super) fn of(provider: &ProviderConfig, tasks: &Tasks) -> Result<Self, SetupError> {
        let refuse = |reason| SetupError::Url {
            url: provider.url.clone(),
            reason,
        };
        let url = Url::parse(&provider.url).map_err(|_| refuse("not a URL"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("an issuer has neither query nor fragment"));
        }
        if let Some(path) = &provider.jwks_file {
            return Ok(Self::File(KeyFile::new(path.clone())));
        }
        let asked = provider.jwks_url.as_ref().unwrap_or(&url);
        if !http::is_allowed(asked, provider.allow_insecure_http) {
            return Err(refuse(
                "not https, which only loopback addresses or allow_insecure_http permit",
            ));
        }
        // An http issuer with permission may have its keys behind https.
        let https = asked.scheme() == "https" || provider.allow_insecure_http;
        let issuer = IssuerUrl::new(provider.url.clone()).map_err(|_| refuse("not a URL"))?;
        Ok(Self::Issuer(Box::new(Discovery {
            http: client(provider, tasks, https)?,
            place: match &provider.jwks_url {
                Some(url) => KeyPlace::Url(url.clone()),
                None => KeyPlace::Discovered,
            },
            issuer,
            token_file: provider.jwks_token_file.clone(),
            // A token never goes over a way that others can read.
            allow_insecure_http: provider.allow_insecure_http && provider.jwks_token_file.is_none(),
        })))
    }
}

fn client(provider: &ProviderConfig, tasks: &Tasks, https: bool) -> Result<IssuerClient, SetupError> {
    let certificates = |cause| SetupError::Certificates {
        url: provider.url.clone(),
        cause: Box::new(cause),
    };
    let ca_file = provider.ca_file.as_deref().map(CaFile::load).transpose();
    let ca_file = ca_file.map_err(certificates)?;
    let proxies = Proxies::load(provider.outbound_proxy_file.as_deref());
    let route = Route {
        https,
        ca_file: ca_file.as_ref(),
        proxies: proxies.map_err(|error| SetupError::Proxy(Box::new(error)))?,
        connect_timeout: None,
    };
    IssuerClient::new(tasks, route).map_err(certificates)
}

//! Where key sets come from: the issuer itself, or a file.

use openidconnect::IssuerUrl;
use url::Url;

use super::super::error::SetupError;
use super::discovery::Discovery;
use super::fetch::{FetchError, FetchedKeys};
use super::http::{self, IssuerClient};
use super::key_file::KeyFile;
use crate::config::ProviderConfig;
use crate::tasks::Tasks;

/// Where the keys of one issuer come from.
pub(super) enum KeySource {
    /// OpenID Connect Discovery.
    Discovery(Box<Discovery>),
    /// `jwks_file`.
    File(KeyFile),
}

impl KeySource {
    /// Makes one attempt. The caller sets the time limit.
    pub(super) async fn fetch(&mut self) -> Result<FetchedKeys, FetchError> {
        match self {
            Self::Discovery(discovery) => discovery.fetch().await,
            Self::File(file) => file.fetch().await,
        }
    }

    /// Checks the URL of a provider, and chooses the source that is configured.
    ///
    /// # Errors
    /// The URL cannot be an issuer, or the root certificates of the machine cannot be loaded.
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
        if !http::is_allowed(&url, provider.allow_insecure_http) {
            return Err(refuse(
                "not https, which only loopback addresses or allow_insecure_http permit",
            ));
        }
        // An http issuer with permission may have its keys behind https.
        let https = url.scheme() == "https" || provider.allow_insecure_http;
        let issuer = IssuerUrl::new(provider.url.clone()).map_err(|_| refuse("not a URL"))?;
        let http = IssuerClient::new(tasks, https)?;
        let allow_insecure_http = provider.allow_insecure_http;
        Ok(Self::Discovery(Box::new(Discovery {
            http,
            issuer,
            allow_insecure_http,
        })))
    }
}

//! Where key sets come from: the issuer itself, through OpenID Connect Discovery, or a file.

use std::sync::{Arc, Mutex};

use ::http::header::CONTENT_TYPE;
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, IssuerUrl};
use url::Url;

use super::super::error::SetupError;
use super::document;
use super::fetch::{FetchError, FetchedKeys};
use super::http::{self, IssuerClient, IssuerHttpError};
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
        Ok(Self::Discovery(Box::new(Discovery {
            http: IssuerClient::new(tasks, https)?,
            issuer,
            allow_insecure_http: provider.allow_insecure_http,
        })))
    }
}

/// What the library gets in place of the keys: it would drop the unreadable ones without a reason.
const EMPTY_KEY_SET: &[u8] = br#"{"keys":[]}"#;

/// Discovery of one issuer (OpenID Connect Discovery 1.0 section 4).
#[derive(Clone)]
pub(super) struct Discovery {
    http: IssuerClient,
    issuer: IssuerUrl,
    allow_insecure_http: bool,
}

impl Discovery {
    const DOCUMENT_PATH: &str = "/.well-known/openid-configuration";

    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        let keys = Arc::new(Mutex::new(None));
        // Each request owns what it needs: with borrows the compiler cannot see that this is `Send`.
        let call = |request| Box::pin(self.clone().call(request, keys.clone()));
        match CoreProviderMetadata::discover_async(self.issuer.clone(), &call).await {
            Ok(_) => {
                let keys = keys.lock().ok().and_then(|mut keys| keys.take());
                keys.ok_or_else(|| FetchError::answer(&"the key set was not asked for"))
            }
            Err(DiscoveryError::Request(error)) => Err(error),
            Err(DiscoveryError::Response(_, _, message)) => Err(FetchError::answer(&message)),
            Err(DiscoveryError::Parse(error)) => Err(FetchError::answer(&error)),
            Err(error) => Err(FetchError::answer(&error)),
        }
    }

    /// Answers the requests of `openidconnect`, which asks for the document and then for the keys.
    async fn call(
        self,
        request: HttpRequest,
        keys: Arc<Mutex<Option<FetchedKeys>>>,
    ) -> Result<HttpResponse, FetchError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| IssuerHttpError::Insecure)?;
        if !http::is_allowed(&url, self.allow_insecure_http) {
            return Err(IssuerHttpError::Insecure.into());
        }
        let is_document = url.path().ends_with(Self::DOCUMENT_PATH);
        let mut answer = self.http.send(request).await?;
        if answer.status() != ::http::StatusCode::OK {
            return Ok(answer);
        }
        // The content says what it is: issuers behind a file server or a bucket send any type, or none.
        answer.headers_mut().remove(CONTENT_TYPE);
        if is_document {
            *answer.body_mut() = document::discovery(answer.body(), &self.issuer)?;
        } else {
            let published = document::key_set(answer.body())?;
            *answer.body_mut() = EMPTY_KEY_SET.to_vec();
            let found = FetchedKeys::New(published, http::max_age(answer.headers()));
            if let Ok(mut keys) = keys.lock() {
                *keys = Some(found);
            }
        }
        Ok(answer)
    }
}

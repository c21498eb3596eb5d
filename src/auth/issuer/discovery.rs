//! Key sets from the issuer itself, through OpenID Connect Discovery.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, IssuerUrl};
use url::Url;

use super::document;
use super::fetch::{FetchError, FetchedKeys};
use super::http::{self as client, IssuerClient, IssuerHttpError};

/// Discovery of one issuer (OpenID Connect Discovery 1.0 section 4).
#[derive(Clone)]
pub(super) struct Discovery {
    pub(super) http: IssuerClient,
    pub(super) issuer: IssuerUrl,
    pub(super) allow_insecure_http: bool,
}

impl Discovery {
    const DOCUMENT_PATH: &str = "/.well-known/openid-configuration";

    pub(super) async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        let max_age = Arc::new(OnceLock::new());
        // Each request owns what it needs: with borrows the compiler cannot see that this is `Send`.
        let call = |request| Box::pin(self.clone().call(request, max_age.clone()));
        match CoreProviderMetadata::discover_async(self.issuer.clone(), &call).await {
            Ok(metadata) => Ok(FetchedKeys::New(metadata.jwks().clone(), max_age.get().copied())),
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
        max_age: Arc<OnceLock<Duration>>,
    ) -> Result<HttpResponse, FetchError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| IssuerHttpError::Insecure)?;
        if !client::is_allowed(&url, self.allow_insecure_http) {
            return Err(IssuerHttpError::Insecure.into());
        }
        let is_document = url.path().ends_with(Self::DOCUMENT_PATH);
        let mut answer = self.http.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Ok(answer);
        }
        if is_document {
            *answer.body_mut() = document::discovery(answer.body(), &self.issuer)?;
        } else {
            *answer.body_mut() = document::key_set(answer.body())?;
            client::max_age(answer.headers()).map(|age| max_age.set(age));
        }
        Ok(answer)
    }
}

//! The key set of an issuer that can be reached.

use std::sync::{Arc, Mutex};

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use ::http::{Request, StatusCode};
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, IssuerUrl};
use url::Url;

use super::document;
use super::fetch::{FetchError, FetchedKeys};
use super::http::{self, IssuerClient, IssuerHttpError};
use super::token_file::{self, TokenFile};

/// What the library gets in place of the keys: it would drop the unreadable ones without a reason.
const EMPTY_KEY_SET: &[u8] = br#"{"keys":[]}"#;

/// Where the key set is.
#[derive(Clone)]
pub(super) enum KeyPlace {
    /// At the `jwks_uri` of the discovery document.
    Discovered,
    /// `jwks_url`.
    Url(Url),
}

/// Fetches the keys of one issuer (OpenID Connect Discovery 1.0 section 4).
#[derive(Clone)]
pub(super) struct Discovery {
    pub(super) http: IssuerClient,
    pub(super) place: KeyPlace,
    pub(super) issuer: IssuerUrl,
    pub(super) token_file: Option<TokenFile>,
    pub(super) allow_insecure_http: bool,
}

impl Discovery {
    const DOCUMENT_PATH: &str = "/.well-known/openid-configuration";

    pub(super) async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        let bearer = match &self.token_file {
            Some(file) => Some(token_file::bearer(file.clone()).await?),
            None => None,
        };
        match &self.place {
            KeyPlace::Url(url) => self.keys_at(url, bearer).await,
            KeyPlace::Discovered => self.discover(bearer).await,
        }
    }

    async fn keys_at(&self, url: &Url, bearer: Option<HeaderValue>) -> Result<FetchedKeys, FetchError> {
        let accept = HeaderValue::from_static("application/json");
        let request = Request::get(url.as_str()).header(ACCEPT, accept).body(Vec::new());
        let request = request.map_err(|error| FetchError::answer(&error))?;
        let answer = self.send(request, bearer).await?;
        match answer.status() {
            StatusCode::OK => {
                let published = document::key_set(answer.body())?;
                Ok(FetchedKeys::New(published, http::max_age(answer.headers())))
            }
            status => Err(FetchError::answer(&format!(
                "the issuer answers HTTP status {status}"
            ))),
        }
    }

    async fn discover(&self, bearer: Option<HeaderValue>) -> Result<FetchedKeys, FetchError> {
        let keys = Arc::new(Mutex::new(None));
        // Each request owns what it needs: with borrows the compiler cannot see that this is `Send`.
        let call = |request| Box::pin(self.clone().answer(request, bearer.clone(), keys.clone()));
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
    async fn answer(
        self,
        request: HttpRequest,
        bearer: Option<HeaderValue>,
        keys: Arc<Mutex<Option<FetchedKeys>>>,
    ) -> Result<HttpResponse, FetchError> {
        let is_document = request.uri().path().ends_with(Self::DOCUMENT_PATH);
        let mut answer = self.send(request, bearer).await?;
        if answer.status() != StatusCode::OK {
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

    async fn send(
        &self,
        mut request: HttpRequest,
        bearer: Option<HeaderValue>,
    ) -> Result<HttpResponse, FetchError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| IssuerHttpError::Insecure)?;
        if !http::is_allowed(&url, self.allow_insecure_http) {
            return Err(IssuerHttpError::Insecure.into());
        }
        if let Some(bearer) = bearer {
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        Ok(self.http.send(request).await?)
    }
}

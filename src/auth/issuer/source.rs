//! Where key sets come from: the issuer itself, or a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use openidconnect::core::{CoreJsonWebKeySet, CoreProviderMetadata};
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, IssuerUrl};
use url::Url;

use super::super::error::printable;
use super::document::{self, DocumentError};
use super::http::{self as client, IssuerClient, IssuerHttpError};
use crate::sys;

/// Where the keys of one issuer come from.
pub(super) enum Source {
    /// OpenID Connect Discovery.
    Discovery(Box<Discovery>),
    /// `jwks_file`.
    File(KeyFile),
}

/// The outcome of one look at the source.
pub(super) enum Fetched {
    /// A key set, and how long its publisher says that it is fresh.
    New(CoreJsonWebKeySet, Option<Duration>),
    /// The file is the one that was read before.
    Unchanged,
}

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    IssuerClient(#[from] IssuerHttpError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The issuer's answer is not what it should be. Holds nothing unescaped.
    #[error("{0}")]
    Answer(String),
    #[error("the file with the key set: {0}")]
    File(#[from] io::Error),
    #[error("the issuer did not answer in time")]
    Timeout,
}

impl FetchError {
    /// Takes over what the library says; it may quote the issuer.
    fn answer(message: &dyn fmt::Display) -> Self {
        Self::Answer(printable(&message.to_string(), 300))
    }
}

impl Source {
    /// Looks once. The caller sets the time limit.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        match self {
            Self::Discovery(discovery) => discovery.fetch().await,
            Self::File(file) => file.fetch().await,
        }
    }
}

/// Discovery of one issuer (OpenID Connect Discovery 1.0 section 4).
#[derive(Clone)]
pub(super) struct Discovery {
    pub(super) http: IssuerClient,
    pub(super) issuer: IssuerUrl,
    pub(super) allow_insecure_http: bool,
}

impl Discovery {
    const DOCUMENT: &str = "/.well-known/openid-configuration";

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        let max_age = Arc::new(OnceLock::new());
        // Each request owns what it needs: with borrows the compiler cannot see that this is `Send`.
        let call = |request| Box::pin(self.clone().call(request, max_age.clone()));
        match CoreProviderMetadata::discover_async(self.issuer.clone(), &call).await {
            Ok(metadata) => Ok(Fetched::New(metadata.jwks().clone(), max_age.get().copied())),
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
        let is_document = url.path().ends_with(Self::DOCUMENT);
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

/// A key set on disk, for issuers that cannot be reached.
pub(super) struct KeyFile {
    path: PathBuf,
    /// What the file looked like when it was last read whole.
    seen: Option<Stamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl KeyFile {
    const MAX_BYTES: u64 = 1024 * 1024;

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let (path, seen) = (self.path.clone(), self.seen);
        let read = sys::run_blocking(move || read_if_changed(&path, seen)).await;
        let Some((stamp, body)) = read.map_err(io::Error::other)?? else {
            return Ok(Fetched::Unchanged);
        };
        let set = parse(&body)?;
        self.seen = Some(stamp);
        Ok(Fetched::New(set, None))
    }
}

/// Blocking: the key set in a file.
pub(super) fn read(path: &Path) -> Result<CoreJsonWebKeySet, FetchError> {
    let read = read_if_changed(path, None)?;
    parse(&read.map(|(_, body)| body).unwrap_or_default())
}

fn parse(body: &[u8]) -> Result<CoreJsonWebKeySet, FetchError> {
    let set = document::key_set(body)?;
    serde_json::from_slice(&set).map_err(|error| FetchError::answer(&error))
}

fn read_if_changed(path: &Path, seen: Option<Stamp>) -> io::Result<Option<(Stamp, Vec<u8>)>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let stamp = Stamp {
        modified: metadata.modified()?,
        length: metadata.len(),
    };
    if seen == Some(stamp) {
        return Ok(None);
    }
    if stamp.length > KeyFile::MAX_BYTES {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    let mut body = Vec::new();
    file.take(KeyFile::MAX_BYTES).read_to_end(&mut body)?;
    Ok(Some((stamp, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_only_when_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.json");
        let mut file = KeyFile::new(path.clone());
        assert!(matches!(file.fetch().await, Err(FetchError::File(_))));
        std::fs::write(&path, r#"{"keys":[]}"#).unwrap();
        assert!(matches!(file.fetch().await, Ok(Fetched::New(..))));
        assert!(matches!(file.fetch().await, Ok(Fetched::Unchanged)));
        std::fs::write(&path, r#"{"keys":[ ]}"#).unwrap();
        assert!(matches!(file.fetch().await, Ok(Fetched::New(..))));
        std::fs::write(&path, "half a file").unwrap();
        assert!(matches!(file.fetch().await, Err(FetchError::Document(_))));
        assert!(
            matches!(file.fetch().await, Err(FetchError::Document(_))),
            "it is tried again"
        );
    }
}

//! The one HTTP client of the identity layer: GET, small answers, no redirects.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use openidconnect::{HttpRequest, HttpResponse};
use std::time::Duration;
use url::{Host, Url};

use super::encoding::{self, EncodingError};
use crate::outbound::{self, Connector, Proxies, RootsError, Route};
use crate::tasks::Tasks;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuerHttpError {
    #[error("a URL of the issuer is neither https nor on this machine (allow_insecure_http permits it)")]
    Insecure,
    #[error("the issuer cannot be reached")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("the issuer redirects, which is not followed")]
    Redirect,
    #[error("the answer is cut off, or larger than 1 MiB")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Encoding(#[from] EncodingError),
}

/// An HTTP/1.1 client. Keeps no idle connections: it is used every few minutes.
#[derive(Clone)]
pub(super) struct IssuerClient {
    client: Client<Connector, Empty<Bytes>>,
    proxies: Proxies,
}

impl IssuerClient {
    const MAX_BODY_BYTES: usize = 1024 * 1024;

    /// A client that goes this way.
    ///
    /// # Errors
    /// Root certificates are needed, and there are none.
    pub(super) fn new(tasks: &Tasks, route: Route<'_>) -> Result<Self, RootsError> {
        let connector = outbound::connector(&route)?;
        let client = Client::builder(tasks.clone())
            .pool_max_idle_per_host(0)
            .build(connector);
        let proxies = route.proxies;
        Ok(Self { client, proxies })
    }

    /// Sends a request without a body. The caller sets the time limit.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, IssuerHttpError> {
        let (mut head, _) = request.into_parts();
        let agent = HeaderValue::from_static(concat!("chacha/", env!("CARGO_PKG_VERSION")));
        head.headers.insert(USER_AGENT, agent);
        let plain = HeaderValue::from_static("identity");
        head.headers.insert(ACCEPT_ENCODING, plain);
        if let Some(secret) = self.proxies.authorization(&head.uri) {
            head.headers.insert(PROXY_AUTHORIZATION, secret);
        }
        let request = http::Request::from_parts(head, Empty::new());
        let answer = self.client.request(request).await?;
        if answer.status().is_redirection() {
            return Err(IssuerHttpError::Redirect);
        }
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, Self::MAX_BODY_BYTES).collect().await;
        let body = body.map_err(IssuerHttpError::Body)?;
        let body = encoding::decoded(&head.headers, body.to_bytes(), Self::MAX_BODY_BYTES)?;
        Ok(http::Response::from_parts(head, body))
    }
}

/// Whether keys may be fetched from a URL: always with https, with http only from this machine or
/// where the configuration accepts that anybody on the way can forge tokens.
pub(super) fn is_allowed(url: &Url, allow_insecure_http: bool) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    match url.scheme() {
        "https" => true,
        "http" => local || allow_insecure_http,
        _ => false,
    }
}

/// `max-age` of `Cache-Control` (RFC 9111 section 5.2.2.1).
pub(super) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(',')).map(str::trim);
    directives.find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        let seconds = seconds.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age")
            .then(|| Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        let allowed = |url: &str, insecure| is_allowed(&Url::parse(url).unwrap(), insecure);
        for url in [
            "https://a.example",
            "http://127.0.0.1:1",
            "http://localhost",
            "http://[::1]/x",
        ] {
            assert!(allowed(url, false), "{url}");
        }
        for url in [
            "http://a.example",
            "http://10.0.0.1",
            "http://localhost.a.example",
            "http://0.0.0.0",
        ] {
            assert!(!allowed(url, false) && allowed(url, true), "{url}");
        }
        assert!(!allowed("file:///etc/passwd", true) && !allowed("ftp://127.0.0.1/", true));
    }

    #[test]
    fn max_age_is_found_among_other_directives() {
        let read = |value: &'static str| {
            max_age(&HeaderMap::from_iter([(
                CACHE_CONTROL,
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(
            read("public, Max-Age=600, must-revalidate"),
            Some(Duration::from_secs(600))
        );
        assert_eq!(read("max-age=\"7\""), Some(Duration::from_secs(7)));
        assert_eq!(read("no-store"), None);
        assert_eq!(read("max-age=-1, s-maxage=5"), None);
    }
}

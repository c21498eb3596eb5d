//! Passes a request on to another server and its answer back, both as streams.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use hyper_util::client::legacy::Client;
use std::io;
use std::time::Duration;
use url::Url;

use crate::outbound::{self, Connector};
use crate::tasks::Tasks;

/// How long a connection may take. The other server is near, or a large service.
const CONNECT: Duration = Duration::from_secs(3);
/// Connections that are kept for the next request.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// A header that says: this request was passed on once, answer it yourself. From anybody else it only means
/// that the request is not passed on.
const PASSED: HeaderName = HeaderName::from_static("x-chacha-passed");

/// Why there is no answer to pass back.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// No connection, or it broke before the answer began.
    #[error("the other server cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// It does not show itself any more.
    #[error("the other server is gone")]
    Gone,
    /// The target makes no URL with this path.
    #[error("the request cannot be passed on")]
    Target,
}

/// Whose name the other server is told as the one that the client asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosted {
    /// The client's: for another server of the same cache, whose links then begin with it.
    AsAsked,
    /// The target's own.
    ByTarget,
}

/// A client for other servers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relay {
    client: Client<Connector, Body>,
}

impl Relay {
    /// `tasks` must outlive the last request: connections that are kept end with them. Loads the machine's root certificates if `https` says that they will be needed.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(tasks: &Tasks, https: bool) -> io::Result<Self> {
        let connector = outbound::connector(https, Some(CONNECT))?;
        let client = Client::builder(Connections(tasks.clone()))
            .pool_idle_timeout(IDLE_TIME)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self { client })
    }

    /// Sends the request with its path and query to `target` and returns the answer as it is.
    ///
    /// # Errors
    /// [`RelayError`]; the body of the request may be lost then.
    pub async fn pass(
        &self,
        target: &Url,
        mut parts: Parts,
        body: Body,
        hosted: Hosted,
    ) -> Result<Response, RelayError> {
        if hosted == Hosted::AsAsked {
            name_host(&mut parts);
        }
        parts.uri = retarget(target, &parts.uri).ok_or(RelayError::Target)?;
        parts.version = http::Version::HTTP_11;
        remove_hop_by_hop(&mut parts.headers);
        // This server has taken the body already, as far as the client can tell.
        parts.headers.remove(header::EXPECT);
        match hosted {
            Hosted::ByTarget => drop(parts.headers.remove(header::HOST)),
            Hosted::AsAsked => drop(parts.headers.insert(PASSED, HeaderValue::from_static("1"))),
        }
        let request = Request::from_parts(parts, body);
        let answer = self.client.request(request).await;
        let (mut head, body) = answer.map_err(RelayError::Unreachable)?.into_parts();
        remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, Body::new(body)))
    }
}

/// Runs connections, and ends them when the tasks stop: one that is kept for the next request would hold the end
/// of the server.
#[derive(Clone)]
struct Connections(Tasks);

impl<F> hyper::rt::Executor<F> for Connections
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, connection: F) {
        let stopping = self.0.stopping();
        drop(self.0.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                _ = connection => {}
            }
        }));
    }
}

/// Whether the request was passed on to this server by another one.
pub fn was_passed(headers: &HeaderMap) -> bool {
    headers.contains_key(PASSED)
}

/// HTTP/2 names the host in the target, which is about to change.
fn name_host(parts: &mut Parts) {
    let host = parts.uri.authority().map(Authority::as_str);
    if !parts.headers.contains_key(header::HOST)
        && let Some(Ok(host)) = host.map(HeaderValue::from_str)
    {
        parts.headers.insert(header::HOST, host);
    }
}

/// The same path and query at another server; a path of the target goes in front.
fn retarget(target: &Url, asked: &Uri) -> Option<Uri> {
    let authority = &target[url::Position::BeforeHost..url::Position::AfterPort];
    let front = target.path().trim_end_matches('/');
    let asked = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    Uri::builder()
        .scheme(Scheme::try_from(target.scheme()).ok()?)
        .authority(Authority::try_from(authority).ok()?)
        .path_and_query(format!("{front}{asked}"))
        .build()
        .ok()
}

/// Headers that speak of one connection only (RFC 9110, section 7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in named.into_iter().chain(always) {
        // Not removed for a client that names it: the length of a body is not its business to hide.
        if name != header::CONTENT_LENGTH {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_stay_as_they_are() {
        let check = |target: &str, asked: &str, expected: &str| {
            let target = Url::parse(target).expect("url");
            let uri = retarget(&target, &asked.parse().expect("uri")).expect("target");
            assert_eq!(uri.to_string(), expected);
        };
        check("http://a:81", "/x%2Fy?q=%20", "http://a:81/x%2Fy?q=%20");
        check("https://a.example/", "/x", "https://a.example/x");
        check("http://[::1]:8/base/", "/x//y", "http://[::1]:8/base/x//y");
    }

    #[test]
    fn the_host_of_the_second_version_of_http_is_kept() {
        let host = |target: &str, header: Option<&'static str>| {
            let (mut parts, ()) = Request::get(target).body(()).expect("request").into_parts();
            let header = header.map(|host| (header::HOST, HeaderValue::from_static(host)));
            parts.headers.extend(header);
            name_host(&mut parts);
            let named = parts.headers.get(header::HOST);
            named.map(|host| host.to_str().expect("text").to_owned())
        };
        assert_eq!(host("http://asked:1/x", None).as_deref(), Some("asked:1"));
        assert_eq!(host("/x", Some("asked:1")).as_deref(), Some("asked:1"));
        assert_eq!(host("/x", None), None);
    }

    #[test]
    fn headers_of_one_connection_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine, content-length"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("authorization", "Bearer x"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-length"]);
    }
}

//! The HTTP client of the forwarder: a request to another server and its answer back, both as streams.

use std::io;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use hyper_util::client::legacy::Client;
use url::Url;

use super::target::{self, HostHeader};
use crate::cache::peers::{PeerAnswer, PeerClient};
use crate::outbound::{self, Connector, Proxies, Route};
use crate::tasks::Tasks;

/// The other server is near, or a large service.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is kept this long for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Marks a request that was forwarded once: its receiver answers it. A client that sends it only keeps its own
/// request from being forwarded.
const FORWARDED: HeaderName = HeaderName::from_static("x-chacha-passed");

/// Holds the statement of a server that sends a request to another one.
pub(super) const STATEMENT: HeaderName = HeaderName::from_static("x-chacha-peer");

/// Why there is no answer to send back.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No connection, or it broke before the answer began.
    #[error("the other server cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// It does not show itself any more.
    #[error("the other server is gone")]
    Gone,
    /// It does not take what this server says of the request.
    #[error(
        "the other server refuses what this one states: it has another signing key, or its advertise_url leads \
         elsewhere"
    )]
    Refused,
    /// The target makes no URL with this path.
    #[error("the request cannot be passed on")]
    Target,
}

/// A client for other servers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ForwardClient {
    client: Client<Connector, Body>,
}

impl ForwardClient {
    /// A client for peers, which are reached directly. `tasks` must outlive the last request: connections that are
    /// kept end with them. Loads the machine's root certificates if `https` says that they will be needed.
    ///
    /// # Errors
    /// The machine has no root certificates.
    pub fn new(tasks: &Tasks, https: bool) -> io::Result<Self> {
        Self::through(Proxies::default(), tasks, https)
    }

    /// The same through proxies.
    ///
    /// # Errors
    /// As [`ForwardClient::new`].
    pub(crate) fn through(proxies: Proxies, tasks: &Tasks, https: bool) -> io::Result<Self> {
        let route = Route {
            https,
            proxies,
            connect_timeout: Some(CONNECT_TIMEOUT),
            ..Route::default()
        };
        let connector = outbound::connector(&route).map_err(io::Error::other)?;
        let client = Client::builder(ConnectionTasks(tasks.clone()))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self { client })
    }

    /// Sends the request with its path and query to `url` and returns the answer as it is.
    pub(super) async fn send(
        &self,
        url: &Url,
        parts: &Parts,
        body: Body,
        host: HostHeader,
    ) -> Result<Response, ForwardError> {
        let mut parts = parts.clone();
        // A client's `Connection` must not name it away.
        let statement = parts.headers.remove(STATEMENT);
        target::redirect(&mut parts, url, host).ok_or(ForwardError::Target)?;
        if host == HostHeader::Original {
            parts.headers.insert(FORWARDED, HeaderValue::from_static("1"));
            target::remove_credentials(&mut parts.headers);
        }
        if let Some(statement) = statement.filter(|_| host != HostHeader::Target) {
            parts.headers.insert(STATEMENT, statement);
        }
        let answer = self.client.request(Request::from_parts(parts, body)).await;
        let (mut head, body) = answer.map_err(ForwardError::Unreachable)?.into_parts();
        target::remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, Body::new(body)))
    }
}

/// Holds the description of an entry that a peer gives.
pub(crate) const ENTRY: HeaderName = HeaderName::from_static("x-chacha-entry");

impl ForwardClient {
    async fn exchange(&self, url: &Url, request: http::Result<Request<Body>>) -> io::Result<Response> {
        let (parts, body) = request.map_err(io::Error::other)?.into_parts();
        let sent = self.send(url, &parts, body, HostHeader::Peer);
        sent.await.map_err(io::Error::other)
    }
}

#[async_trait]
impl PeerClient for ForwardClient {
    async fn post(&self, url: &Url, path: &str, statement: &str, body: Bytes) -> io::Result<()> {
        let request = Request::post(path)
            .header(STATEMENT, statement)
            .body(Body::from(body));
        let status = self.exchange(url, request).await?.status();
        let failed = || io::Error::other(format!("it answered {status}"));
        status.is_success().then_some(()).ok_or_else(failed)
    }

    async fn get(
        &self,
        url: &Url,
        path: &str,
        statement: &str,
        range: Option<Range<u64>>,
    ) -> io::Result<PeerAnswer> {
        let mut request = Request::get(path).header(STATEMENT, statement);
        if let Some(range) = range.filter(|range| !range.is_empty()) {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        let answer = self.exchange(url, request.body(Body::empty())).await?;
        let meta = answer.headers().get(ENTRY);
        Ok(PeerAnswer {
            status: answer.status().as_u16(),
            meta: meta.and_then(|meta| URL_SAFE_NO_PAD.decode(meta).ok()),
            body: answer
                .into_body()
                .into_data_stream()
                .map_err(io::Error::other)
                .boxed(),
        })
    }
}

/// Whether another server has forwarded the request to this one.
pub(super) fn was_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
}

/// Runs connections, and ends them when the tasks stop: one that is kept for the next request would hold the end
/// of the server.
#[derive(Clone)]
struct ConnectionTasks(Tasks);

impl<F> hyper::rt::Executor<F> for ConnectionTasks
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

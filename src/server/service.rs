//! One request on one connection: the record around it, and the way its body leaves.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{Stream, TryStreamExt};
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};

use super::connections::{Activity, Connections, RunningRequest};
use super::held_body::HeldBody;
use super::source::Source;
use super::wire::{GrowingPieces, PendingRequest, SendQueue, WireBody};
use crate::config::TrustedProxies;
use crate::protocol::Dispatch;
use crate::protocol::call::{Answered, MAX_DISCARDED_BYTES, Reply, expects_continue};
use crate::store::memory::{MemoryAccount, nobody};
use crate::store::{Content, FileRange};
use crate::sys;
use crate::telemetry::access::{Exchange, Recorder};

/// What the requests of all connections share.
pub(super) struct Context {
    pub(super) dispatch: Dispatch,
    pub(super) recorder: Recorder,
    pub(super) connections: Connections,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) memory: MemoryAccount,
}

/// Answers the requests of one connection.
pub(super) struct Service {
    pub(super) context: Arc<Context>,
    pub(super) source: Source,
    pub(super) send_queue: SendQueue,
    pub(super) activity: Activity,
}

/// A request under way. Small: its space is set up for every request, and moved.
struct ActiveRequest {
    context: Arc<Context>,
    send_queue: SendQueue,
    pending: Box<PendingRequest>,
    http1: bool,
    head: bool,
    sends_body: bool,
    unread: UnreadBody,
}

/// When the body of a request is not read to its end: hyper closes the connection then, and the client must be
/// told (RFC 9112, section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnreadBody {
    /// The body is read to its end, or there is none.
    Never,
    /// If the request is refused.
    WhenRefused,
    /// The front-end does not read this body, on success either.
    Always,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<WireBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let active = self.begin(&mut request);
        let acceptance = self.activity.acceptance();
        let answer = self.context.dispatch.answer(
            request.map(|body| request_body(body, &active.pending.running)),
            acceptance,
        );
        Box::pin(async move { Ok(active.respond(answer.await)) })
    }
}

impl Service {
    fn begin(&self, request: &mut Request<Incoming>) -> ActiveRequest {
        let running = self.activity.begin();
        let http1 = request.version() < Version::HTTP_2;
        if !http1 {
            self.activity.mark_http2();
        }
        let client = self
            .source
            .client(request.headers(), &self.context.trusted_proxies);
        let mut exchange = self.context.recorder.begin(request.method(), client);
        // A body that is not read to its end makes hyper close the connection; the client must still get
        // to read the answer.
        let sends_body = !http_body::Body::is_end_stream(request.body());
        if sends_body {
            request.extensions_mut().insert(exchange.early());
            if http1 && request.method() == Method::POST {
                request.extensions_mut().insert(self.activity.client());
            }
        }
        ActiveRequest {
            context: Arc::clone(&self.context),
            send_queue: self.send_queue.clone(),
            pending: Box::new(PendingRequest { exchange, running }),
            http1,
            head: request.method() == Method::HEAD,
            sends_body,
            unread: if sends_body {
                unread(request)
            } else {
                UnreadBody::Never
            },
        }
    }
}

impl ActiveRequest {
    fn respond(mut self, answered: Answered) -> Response<WireBody> {
        let (reply, record, acceptance) = answered.into_parts();
        self.pending.running.answered(acceptance);
        let Reply {
            response,
            file,
            id_header,
        } = reply;
        let (mut parts, body) = response.into_parts();
        self.end_connection(&mut parts);
        if parts.status.is_client_error() || parts.status.is_server_error() {
            add_id(&mut parts.headers, &REQUEST_ID, &self.pending.exchange);
        }
        if let Some(name) = id_header {
            add_id(&mut parts.headers, name, &self.pending.exchange);
        }
        let length = match &file {
            Some(part) => Some(part.len()),
            // Not known of an answer of another server that has not arrived yet.
            None => http_body::Body::size_hint(&body).exact(),
        };
        if let Some(length) = length.filter(|length| self.must_say(*length, parts.status))
            // The answer to a HEAD that another server gave.
            && !parts.headers.contains_key(header::CONTENT_LENGTH)
        {
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let sent = length.filter(|_| !self.head);
        self.pending
            .exchange
            .answered(parts.status.as_u16(), sent, record);
        Response::from_parts(parts, self.wire(body, file))
    }

    /// Says that the connection ends if it will, and lets the client read that first.
    fn end_connection(&self, parts: &mut Parts) {
        let refused = !parts.status.is_success();
        let left = match self.unread {
            UnreadBody::Always => true,
            UnreadBody::WhenRefused => refused,
            // The body did not come.
            UnreadBody::Never => parts.status == StatusCode::REQUEST_TIMEOUT,
        };
        self.send_queue.linger(self.sends_body && (refused || left));
        if self.http1 && (left || self.context.connections.is_draining()) {
            let close = HeaderValue::from_static("close");
            parts.headers.insert(header::CONNECTION, close);
        }
    }

    /// Whether hyper would leave out the length of an answer to a read.
    fn must_say(&self, length: u64, status: StatusCode) -> bool {
        let left_out = !self.http1 || self.head && length == 0;
        left_out && matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT)
    }

    fn wire(self, body: Body, file: Option<FileRange>) -> WireBody {
        let request = self.pending;
        match file {
            // hyper leaves the body of an answer to HEAD out by itself, but only with HTTP/1.
            _ if self.head && !self.http1 => WireBody::multiplexed(Body::empty(), request),
            Some(part) if self.http1 && sys::CAN_SEND_FILE => WireBody::file(part, self.send_queue, request),
            Some(part) if self.http1 => WireBody::routed(stream_of(Content::File(part).pieces()), request),
            Some(part) => {
                let memory = self.context.memory.clone();
                let owner = request.exchange.tenant().cloned().unwrap_or_else(nobody);
                let pieces = GrowingPieces::new(part, memory, owner);
                WireBody::multiplexed(stream_of(pieces), request)
            }
            None if self.http1 => WireBody::routed(body, request),
            None => WireBody::multiplexed(body, request),
        }
    }
}

/// What becomes of the body of `request`, which has one.
fn unread(request: &Request<Incoming>) -> UnreadBody {
    let writes = [Method::PUT, Method::POST, Method::PATCH].contains(request.method());
    if expects_continue(request.headers()) {
        return if writes {
            UnreadBody::WhenRefused
        } else {
            UnreadBody::Always
        };
    }
    // Whether a body is short enough to be read and dropped. The length of a chunked one is not known.
    let length = http_body::Body::size_hint(request.body()).exact();
    let short = length.is_some_and(|length| length <= MAX_DISCARDED_BYTES);
    match request.method().as_str() {
        _ if writes && short => UnreadBody::Never,
        _ if writes => UnreadBody::WhenRefused,
        "PROPFIND" | "DELETE" if short => UnreadBody::Never,
        _ => UnreadBody::Always,
    }
}

/// Most requests have no body; an empty one needs no room of its own.
fn request_body(body: Incoming, running: &RunningRequest) -> Body {
    if http_body::Body::is_end_stream(&body) {
        return Body::empty();
    }
    let _running = running.clone();
    Body::new(HeldBody { body, _running })
}

/// A file for a transport that cannot send it whole.
fn stream_of(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    Body::new(StreamBody::new(pieces.map_ok(Frame::data)))
}

/// The header of errors that names the request.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lets a user name the request to the operator.
fn add_id(headers: &mut http::HeaderMap, name: &'static HeaderName, exchange: &Exchange) {
    if let Ok(id) = HeaderValue::from_str(&exchange.id().to_string()) {
        headers.insert(name, id);
    }
}

//! One request on one connection: the record around it, and the way its body leaves.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::TryStreamExt;
use http::{HeaderValue, Request, Version, header};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};

use super::connections::{Activity, Connections};
use super::wire::{Outbox, WireBody};
use crate::protocol::Dispatch;
use crate::protocol::app::{DISCARDED, expects_continue};
use crate::protocol::entry::FileBody;
use crate::store::{Content, FileRange};
use crate::sys;
use crate::telemetry::access::{Exchange, Recorder, Report};

/// What the requests of all connections share.
pub(super) struct Context {
    pub(super) dispatch: Dispatch,
    pub(super) recorder: Recorder,
    pub(super) connections: Connections,
}

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) context: Arc<Context>,
    pub(super) outbox: Outbox,
    pub(super) activity: Activity,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<WireBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

impl Service {
    async fn answer(self, mut request: Request<Incoming>) -> Result<Response<WireBody>, Infallible> {
        let running = self.activity.begin();
        let mut exchange = self.context.recorder.begin(request.method());
        let http1 = request.version() < Version::HTTP_2;
        let head = request.method() == http::Method::HEAD;
        // A body that is not read to its end makes hyper close the connection; the client must still get
        // to read the answer.
        let sends_body = !http_body::Body::is_end_stream(request.body());
        if sends_body {
            request.extensions_mut().insert(exchange.early());
        }
        let unread = sends_body && is_left_unread(&request);
        let response = self.context.dispatch.answer(request.map(body)).await;
        if sends_body && !response.status().is_success() {
            self.outbox.linger();
        }
        let (mut parts, body) = response.into_parts();
        let report = parts.extensions.remove::<Report>().unwrap_or_default();
        let refused = !parts.status.is_success();
        if self.context.connections.is_draining() || unread && refused {
            parts
                .headers
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if parts.status.is_client_error() || parts.status.is_server_error() {
            add_id(&mut parts.headers, &exchange);
        }
        let file = parts.extensions.remove::<FileBody>();
        exchange.answered(
            parts.status.as_u16(),
            (!head).then(|| length_of(&parts.headers, &body)),
            report,
        );
        let body = match file {
            Some(FileBody(part)) if http1 && sys::CAN_SEND_FILE => {
                WireBody::file(part, self.outbox, exchange, running)
            }
            Some(FileBody(part)) if http1 => WireBody::routed(pieces(part), exchange, running),
            Some(FileBody(part)) => WireBody::multiplexed(pieces(part), exchange, running),
            None if http1 => WireBody::routed(body, exchange, running),
            None => WireBody::multiplexed(body, exchange, running),
        };
        Ok(Response::from_parts(parts, body))
    }
}

/// Whether the body of this request, if it is refused, is not read to its end: hyper closes the
/// connection then, and the client must be told (RFC 9112, section 9.6).
fn is_left_unread(request: &Request<Incoming>) -> bool {
    let length = http_body::Body::size_hint(request.body()).exact();
    expects_continue(request.headers()) || length.is_some_and(|length| length > DISCARDED)
}

/// Most requests have no body; an empty one needs no room of its own.
fn body(incoming: Incoming) -> Body {
    if http_body::Body::is_end_stream(&incoming) {
        Body::empty()
    } else {
        Body::new(incoming)
    }
}

/// A file for a transport that cannot send it whole.
fn pieces(part: FileRange) -> Body {
    Body::new(StreamBody::new(Content::File(part).pieces().map_ok(Frame::data)))
}

/// How many bytes of a body the client was promised.
fn length_of(headers: &http::HeaderMap, body: &Body) -> u64 {
    let said = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    said.or_else(|| http_body::Body::size_hint(body).exact())
        .unwrap_or(0)
}

/// Lets a user name the request to the operator.
fn add_id(headers: &mut http::HeaderMap, exchange: &Exchange) {
    if let Ok(id) = HeaderValue::from_str(&exchange.id().to_string()) {
        headers.insert("x-request-id", id);
    }
}

//! One request on one connection: the record around it, and the way its body leaves.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Request, Version};
use hyper::body::Incoming;

use super::idle::Activity;
use super::wire::{Outbox, WireBody};
use crate::protocol::Dispatch;
use crate::protocol::app::expects_continue;
use crate::protocol::entry::FileBody;
use crate::telemetry::access::{Exchange, Recorder, Report};

/// What the requests of all connections share.
pub(super) struct Context {
    pub(super) dispatch: Dispatch,
    pub(super) recorder: Recorder,
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
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

impl Service {
    async fn answer(self, request: Request<Incoming>) -> Response<WireBody> {
        let running = self.activity.begin();
        let mut exchange = self.context.recorder.begin(request.method());
        let http1 = request.version() < Version::HTTP_2;
        let head = request.method() == http::Method::HEAD;
        // A body that may not be read to its end makes hyper close the connection; the client must
        // still get to read the answer. One that waits for 100 has nothing on its way.
        let sends_body =
            !http_body::Body::is_end_stream(request.body()) && !expects_continue(request.headers());
        let response = self.context.dispatch.answer(request.map(Body::new)).await;
        if sends_body && !response.status().is_success() {
            self.outbox.linger();
        }
        let (mut parts, body) = response.into_parts();
        let report = parts.extensions.remove::<Report>().unwrap_or_default();
        if parts.status.is_client_error() || parts.status.is_server_error() {
            add_id(&mut parts.headers, &exchange);
        }
        let length = if head {
            None
        } else {
            http_body::Body::size_hint(&body)
                .exact()
                .or_else(|| length_of(&parts.headers))
        };
        exchange.answered(parts.status.as_u16(), length, report);
        let body = match parts.extensions.remove::<FileBody>() {
            Some(FileBody(part)) if http1 => WireBody::file(part, self.outbox, exchange, running),
            _ => WireBody::routed(body, exchange, running),
        };
        Response::from_parts(parts, body)
    }
}

fn length_of(headers: &http::HeaderMap) -> Option<u64> {
    headers
        .get(http::header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Lets a user name the request to the operator.
fn add_id(headers: &mut http::HeaderMap, exchange: &Exchange) {
    if let Ok(id) = HeaderValue::from_str(&exchange.id().to_string()) {
        headers.insert("x-request-id", id);
    }
}

//! Health, readiness and metrics, on a listener of their own: `/health` and `/metrics` are legal keys.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::store::disk::Disk;
use crate::telemetry::metrics::Metrics;

/// What the listener reports on.
#[derive(Clone)]
pub(super) struct Ops {
    pub(super) metrics: Arc<Metrics>,
    pub(super) auth: Authenticator,
    pub(super) disk: Arc<Disk>,
    /// Set when the server has begun to drain.
    pub(super) closing: CancellationToken,
}

pub(super) fn router(ops: Ops) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ops)
}

/// 200 if requests should be sent here. A draining server answers 503. Issuers without keys and a
/// running index are told, but do not take the server out of service: it can serve all the others.
async fn ready(State(ops): State<Ops>) -> impl IntoResponse {
    let draining = ops.closing.is_cancelled();
    let status = if draining {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let mut text = format!("{}\n", if draining { "draining" } else { "ready" });
    if ops.disk.stats().indexing {
        text.push_str("disk: indexing, serving meanwhile\n");
    }
    for (issuer, has_keys) in ops.auth.issuers() {
        if !has_keys {
            text.push_str(&format!("issuer {issuer}: no keys yet, its tokens get 503\n"));
        }
    }
    (status, text)
}

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    const FORM: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, FORM)], ops.metrics.render())
}

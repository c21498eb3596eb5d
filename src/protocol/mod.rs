//! The front-ends: each speaks one protocol, none knows another.
//!
//! A request belongs to the first front-end of [`frontends`] that claims its path, by whole, decoded
//! segments: `/twirpy` is an ordinary key, and `/%74wirp/...` is not a way around.

pub mod admit;
pub mod app;
pub mod entry;
pub mod http;
mod key;
mod nx;
mod path;
pub mod plain;
mod reserved;
mod turbo;

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tower::util::ServiceExt;

use crate::telemetry::access::{Outcome, Report};
use app::App;
use path::DecodedPath;

/// One protocol: where it lives and what it answers there.
struct Frontend {
    /// Its name in logs and metrics.
    name: &'static str,
    /// Whether a path belongs to it, by its whole, decoded segments.
    claims: fn(&DecodedPath<'_>) -> bool,
    /// Its routes. Must answer every method on every path that it claims.
    router: Router,
}

/// Every front-end, in order of precedence. To add a protocol, add its folder and its line.
fn frontends(app: &App) -> Vec<Frontend> {
    vec![
        reserved::frontend(app),
        turbo::frontend(app),
        nx::frontend(app),
        http::frontend(app),
    ]
}

/// The whole public interface as one service.
#[derive(Clone)]
pub struct Dispatch(std::sync::Arc<[Frontend]>);

impl Dispatch {
    /// All front-ends over one application.
    pub fn new(app: &App) -> Self {
        Self(frontends(app).into())
    }

    /// Answers a request. Never panics and never fails: a fault is an answer, too.
    pub async fn answer(&self, request: Request) -> Response {
        let path = DecodedPath::of(request.uri());
        let Some(frontend) = self.0.iter().find(|frontend| (frontend.claims)(&path)) else {
            return fault("none", "no front-end takes this path");
        };
        let answer = AssertUnwindSafe(frontend.router.clone().oneshot(request))
            .catch_unwind()
            .await;
        match answer {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => fault(
                frontend.name,
                "a request handler panicked; see the message before this line",
            ),
        }
    }
}

/// The answer when our own code failed.
fn fault(protocol: &'static str, error: &'static str) -> Response {
    let report = Report {
        protocol,
        outcome: Outcome::Failed,
        error: Some(error.into()),
        ..Report::default()
    };
    let mut response = (::http::StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response();
    response.extensions_mut().insert(report);
    response
}

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
use std::pin::Pin;

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
    /// Must answer every method on every path that it claims.
    handler: Handler,
}

/// What answers the requests of a front-end.
enum Handler {
    /// Several routes.
    Routed(Router),
    /// One function for every path and method. Reads of plain keys are what a cache lives on, and a
    /// router that has nothing to choose costs them some 5 % of their CPU time (`bench/run`).
    Direct(Box<dyn Fn(Request) -> Answer + Send + Sync>),
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

impl Handler {
    fn direct<F>(app: &App, answer: impl Fn(App, Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let app = app.clone();
        Self::Direct(Box::new(move |request| Box::pin(answer(app.clone(), request))))
    }

    fn call(&self, request: Request) -> Answer {
        match self {
            Self::Direct(answer) => answer(request),
            Self::Routed(router) => {
                let answer = router.clone().oneshot(request);
                Box::pin(async move { answer.await.unwrap_or_else(|never| match never {}) })
            }
        }
    }
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
        // Chosen before the await, so that the request is not kept in this future as well.
        let (name, answer) = self.begin(request);
        match answer {
            Some(answer) => AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
                fault(
                    name,
                    "a request handler panicked; see the message before this line",
                )
            }),
            None => fault(name, "no front-end takes this path"),
        }
    }

    fn begin(&self, request: Request) -> (&'static str, Option<Answer>) {
        let path = DecodedPath::of(request.uri());
        match self.0.iter().find(|frontend| (frontend.claims)(&path)) {
            Some(frontend) => (frontend.name, Some(frontend.handler.call(request))),
            None => ("none", None),
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

//! The front-ends: each speaks one protocol, none knows another.
//!
//! A request belongs to the first front-end of [`frontends`] that claims its path, by whole, decoded
//! segments: `/twirpy` is an ordinary key, and `/%74wirp/...` is not a way around.

pub mod admit;
pub mod app;
pub(crate) mod blob;
pub mod elsewhere;
pub mod entry;
pub(crate) mod gha_v1;
pub(crate) mod gha_v2;
pub(crate) mod herald;
pub mod http;
pub mod http_error;
pub(crate) mod incoming;
pub(crate) mod key;
pub mod links;
mod metered;
mod nx;
pub(crate) mod path;
mod peer;
pub(crate) mod query;
pub mod relay;
pub mod reply;
mod reserved;
pub(crate) mod trouble;
mod turbo;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use axum::extract::Request;
use futures_util::FutureExt;

use crate::telemetry::access::{Outcome, RequestRecord};
use app::App;
use path::DecodedPath;
use reply::Reply;

/// One protocol: where it lives and what it answers there.
struct Frontend {
    /// Its name in logs and metrics.
    name: &'static str,
    /// Whether a path belongs to it, by its whole, decoded segments.
    claims: fn(&DecodedPath<'_>) -> bool,
    /// Must answer every method on every path that it claims. No router: it would have nothing to
    /// choose, and costs a read of a plain key some 5 % of its CPU time (`bench/run`).
    answer: fn(App, Request) -> Answer,
    /// Its answer when our own code failed; `record` says why.
    fault: fn(RequestRecord) -> Reply,
}

type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

const COUNT: usize = 8;

/// Every front-end, in order of precedence. To add a protocol, add its folder and its line.
fn frontends() -> [Frontend; COUNT] {
    [
        blob::frontend(),
        gha_v1::frontend(),
        gha_v2::frontend(),
        peer::frontend(),
        reserved::frontend(),
        turbo::frontend(),
        nx::frontend(),
        http::frontend(),
    ]
}

/// The whole public interface as one service.
pub struct Dispatch {
    app: App,
    frontends: [Frontend; COUNT],
}

impl Dispatch {
    /// All front-ends over one application.
    pub fn new(app: &App) -> Self {
        Self {
            app: app.clone(),
            frontends: frontends(),
        }
    }

    /// Answers a request. The answer never panics and never fails: a fault is an answer, too.
    pub fn answer(&self, request: Request) -> impl Future<Output = Reply> + Send + use<> {
        // Chosen here, so that the request is not kept in the future as well.
        let path = DecodedPath::of(request.uri());
        let found = self.frontends.iter().find(|frontend| (frontend.claims)(&path));
        let (name, fault, answer) = match found {
            Some(frontend) => (
                frontend.name,
                frontend.fault,
                Some((frontend.answer)(self.app.clone(), request)),
            ),
            None => ("none", http_error::fault as fn(RequestRecord) -> Reply, None),
        };
        async move {
            match answer {
                Some(answer) => AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
                    let error = "a request handler panicked; see the message before this line";
                    fault(failed(name, error))
                }),
                None => fault(failed(name, "no front-end takes this path")),
            }
        }
    }
}

/// The record of a request that our own code failed.
fn failed(protocol: &'static str, error: &'static str) -> RequestRecord {
    RequestRecord {
        protocol,
        outcome: Outcome::Failed,
        error: Some(error.into()),
        ..RequestRecord::default()
    }
}

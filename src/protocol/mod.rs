//! The front-ends: each speaks one protocol, none knows another.
//!
//! A request belongs to the first front-end of [`frontends`] that claims its path, by whole, decoded
//! segments: `/twirpy` is an ordinary key, and `/%74wirp/...` is not a way around.

pub mod app;
mod authorities;
pub(crate) mod blob;
pub mod call;
pub mod entry;
pub mod forward;
pub(crate) mod framing;
pub(crate) mod gha;
pub(crate) mod gha_v1;
pub(crate) mod gha_v2;
pub mod http;
pub mod http_error;
pub(crate) mod key;
pub mod links;
mod nx;
pub(crate) mod path;
mod peer;
pub(crate) mod query;
pub mod reply;
mod reserved;
mod token;
mod turbo;

use std::pin::Pin;

use axum::extract::Request;

use app::App;
use call::{Acceptance, Answered, Call, Reply};
use path::DecodedPath;

/// One protocol: where it lives and what it answers there.
struct Frontend {
    /// Its name in logs and metrics.
    name: &'static str,
    /// Whether a path belongs to it, by its whole, decoded segments.
    claims: fn(&DecodedPath<'_>) -> bool,
    /// Must answer every method on every path that it claims. No router: it would have nothing to
    /// choose, and costs a read of a plain key some 5 % of its CPU time (`bench/run`).
    answer: fn(Call) -> Answering,
    /// Its answer when our own code failed.
    fault: fn() -> Reply,
}

/// An answer that is being made. Only [`Call::finish`] ends it.
type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Every front-end, in order of precedence. To add a protocol, add its folder and its line.
fn frontends() -> Vec<Frontend> {
    vec![
        blob::frontend(),
        gha_v1::frontend(),
        gha_v2::frontend(),
        peer::frontend(),
        token::frontend(),
        reserved::frontend(),
        turbo::frontend(),
        nx::frontend(),
        http::frontend(),
    ]
}

/// The name of no front-end: that of the requests on paths that nothing is served at.
pub const NO_FRONTEND: &str = "none";

/// The names of all front-ends in logs and metrics, [`NO_FRONTEND`] included.
pub fn names() -> Vec<&'static str> {
    frontends().iter().map(|frontend| frontend.name).collect()
}

/// The whole public interface as one service.
pub struct Dispatch {
    app: App,
    frontends: Vec<Frontend>,
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
    pub fn answer(
        &self,
        request: Request,
        acceptance: Acceptance,
    ) -> impl Future<Output = Answered> + Send + use<> {
        // Chosen here, so that the request is not kept in the future as well.
        let path = DecodedPath::of(request.uri());
        let found = self.frontends.iter().find(|frontend| (frontend.claims)(&path));
        let (name, fault, answer) = match found {
            Some(frontend) => {
                let call = Call::begin(self.app.clone(), request, frontend.name, acceptance);
                (frontend.name, frontend.fault, Some((frontend.answer)(call)))
            }
            None => (NO_FRONTEND, http_error::fault as fn() -> Reply, None),
        };
        call::answer_or_fault(name, answer, fault)
    }
}

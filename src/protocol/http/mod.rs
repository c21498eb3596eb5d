//! The HTTP cache: `GET HEAD PUT POST DELETE /<key>` for Bazel, Gradle, ccache, Maven, moon and
//! curl, and the few WebDAV verbs that sccache needs.

mod delete;

mod webdav;
mod write;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use super::admit::{Admitted, admit};
use super::app::App;
use super::entry;
use super::plain::{Failure, respond};
use super::{Frontend, Handler};
use crate::auth::Identity;
use crate::cache::EntryName;
use crate::store::Protocol;
use crate::telemetry::access::{Outcome, Report};

/// The front-end: takes every path that no other one claims.
pub(super) fn frontend(app: &App) -> Frontend {
    Frontend {
        name: "http",
        claims: |_| true,
        handler: Handler::direct(app, answer),
    }
}

const ALLOW: &str = "GET, HEAD, PUT, POST, DELETE, OPTIONS, PROPFIND, MKCOL";

/// One entry point, because the route is the method: every path is a key.
async fn answer(app: App, request: Request) -> Response {
    let Admitted {
        caller,
        parts,
        body,
        report,
    } = match admit(&app, request, "http", "/{key}").await {
        Ok(admitted) => admitted,
        Err((failure, report)) => return failure.into_response_with(report),
    };
    match parts.method {
        Method::GET | Method::HEAD => read(&app, &caller, &parts, report).await,
        // Boxed: the futures of the rarer methods are large, and the space for the largest one would
        // have to be moved around for every read.
        Method::PUT | Method::POST => Box::pin(write::answer(&app, &caller, &parts, body, report)).await,
        Method::DELETE => Box::pin(delete::answer(&app, &caller, &parts, report)).await,
        Method::OPTIONS => webdav::options(report),
        ref other if other.as_str() == "PROPFIND" => {
            Box::pin(webdav::propfind(&app, &caller, &parts, body, report)).await
        }
        ref other if other.as_str() == "MKCOL" => webdav::mkcol(&app, &parts, body, report),
        _ => not_allowed(&app, &parts, body, report),
    }
}

fn not_allowed(app: &App, parts: &Parts, body: Body, mut report: Report) -> Response {
    app.discard(parts, body);
    report.outcome = Outcome::Refused;
    let mut response = respond(
        StatusCode::METHOD_NOT_ALLOWED,
        Body::from("method not allowed\n"),
        report,
    );
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    response
}

async fn read(app: &App, caller: &Identity, parts: &Parts, report: Report) -> Response {
    let name = match entry_name(parts) {
        Ok(name) => name,
        Err(failure) => return failure.into_response_with(report),
    };
    match entry::read(app, caller, &name, parts, report).await {
        Ok((response, _)) => response,
        Err(report) => respond(StatusCode::NOT_FOUND, Body::from("not found\n"), report),
    }
}

/// The name of the entry that the path means.
fn entry_name(parts: &Parts) -> Result<EntryName, Failure> {
    let key = super::key::decode(parts)?;
    EntryName::new(Protocol::Http, key).ok_or_else(super::key::out_of_range)
}

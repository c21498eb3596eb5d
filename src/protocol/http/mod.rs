//! The HTTP cache: `GET HEAD PUT POST DELETE /<key>` for Bazel, Gradle, ccache, Maven, moon and
//! curl, and the few WebDAV verbs that sccache needs.

mod delete;

mod redirect;
mod webdav;
mod write;

use axum::body::Body;
use axum::extract::Request;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use super::admit::{Admitted, admit};
use super::app::App;
use super::entry;
use super::http_error::HttpError;
use super::reply::Reply;
use super::{Answer, Frontend};
use crate::cache::EntryName;
use crate::store::Protocol;
use crate::telemetry::access::{Outcome, RequestRecord};

/// The front-end: takes every path that no other one claims.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "http",
        claims: |_| true,
        answer,
        fault: super::http_error::fault,
    }
}

/// How logs and metrics name the paths of this front-end.
const ROUTE: &str = "/{key}";
const ALLOW: &str = "GET, HEAD, PUT, POST, DELETE, OPTIONS, PROPFIND, MKCOL";

/// One entry point, because the route is the method: every path is a key.
///
/// Two futures, because their space is set up for every request: that of a read must stay below the
/// 1 KiB up to which the allocator is quick.
fn answer(app: App, request: Request) -> Answer {
    match *request.method() {
        Method::GET | Method::HEAD => Box::pin(read(app, request)),
        _ => Box::pin(change(app, request)),
    }
}

async fn change(app: App, request: Request) -> Reply {
    let Admitted {
        caller,
        parts,
        body,
        record,
    } = match admit(&app, request, "http", ROUTE).await {
        Ok(admitted) => admitted,
        Err((failure, record)) => return failure.into_reply(record),
    };
    match parts.method {
        Method::PUT | Method::POST => write::answer(&app, &caller, &parts, body, record).await,
        Method::DELETE => {
            app.discard(&parts, body);
            delete::answer(&app, &caller, &parts, record).await
        }
        Method::OPTIONS => webdav::options(record),
        ref other if other.as_str() == "PROPFIND" => {
            webdav::propfind(&app, &caller, &parts, body, record).await
        }
        ref other if other.as_str() == "MKCOL" => webdav::mkcol(&app, &parts, body, record),
        _ => not_allowed(&app, &parts, body, record),
    }
}

fn not_allowed(app: &App, parts: &Parts, body: Body, mut record: RequestRecord) -> Reply {
    app.discard(parts, body);
    record.outcome = Outcome::Refused;
    let mut reply = Reply::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Body::from("method not allowed\n"),
        record,
    );
    reply
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    reply
}

async fn read(app: App, request: Request) -> Reply {
    let Admitted {
        caller,
        parts,
        body: _,
        record,
    } = match admit(&app, request, "http", ROUTE).await {
        Ok(admitted) => admitted,
        Err((failure, record)) => return failure.into_reply(record),
    };
    let name = match entry_name(&parts) {
        Ok(name) => name,
        Err(failure) => return failure.into_reply(record),
    };
    let record = match app.cache().has_links() {
        // Boxed: it is rarely configured, and would enlarge the future of every read.
        true => match Box::pin(redirect::answer(&app, &caller, &name, &parts, record)).await {
            Ok(reply) => return reply,
            Err(record) => record,
        },
        false => record,
    };
    match entry::read(&app, &caller, &name, &parts, record).await {
        Ok((reply, _)) => reply,
        Err(record) => Reply::new(StatusCode::NOT_FOUND, "not found\n", record),
    }
}

/// The name of the entry that the path means.
fn entry_name(parts: &Parts) -> Result<EntryName, HttpError> {
    let key = super::key::decode(parts)?;
    EntryName::new(Protocol::Http, key).ok_or_else(super::key::out_of_range)
}

//! The HTTP cache: `GET HEAD PUT POST DELETE /<key>` for Bazel, Gradle, ccache, Maven, moon and
//! curl, and the few WebDAV verbs that sccache needs.

mod redirect;
mod webdav;

use std::pin::Pin;

use axum::body::Body;
use http::request::Parts;
use http::{Method, StatusCode};

use super::call::{Answered, Call, Reply};
use super::entry::{self, conditions};
use super::http_error::{self, HttpError};
use super::{Answering, Frontend};
use crate::auth::Identity;
use crate::cache::EntryName;
use crate::error::Class;
use crate::store::{Metadata, Protocol};
use crate::telemetry::access::Outcome;

/// The front-end: takes every path that no other one claims.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "http",
        claims: |_| true,
        answer,
        fault: http_error::fault,
    }
}

/// How logs and metrics name the paths of this front-end.
const ROUTE: &str = "/{key}";
const METHODS: &str = "GET, HEAD, PUT, POST, DELETE, OPTIONS, PROPFIND, MKCOL";

/// One entry point, because the route is the method: every path is a key.
///
/// Two futures, because their space is set up for every request: that of a read must stay below the
/// 1 KiB up to which the allocator is quick.
fn answer(mut call: Call) -> Answering {
    call.record.route = ROUTE;
    match call.parts.method {
        Method::GET | Method::HEAD => answer_read(call),
        _ => Box::pin(async move {
            let outcome = change(&mut call).await;
            call.finish(outcome, HttpError::render)
        }),
    }
}

fn answer_read(mut call: Call) -> Pin<Box<impl Future<Output = Answered>>> {
    Box::pin(async move {
        let outcome = read(&mut call).await;
        call.finish(outcome, HttpError::render)
    })
}

async fn read(call: &mut Call) -> Result<Reply, HttpError> {
    let caller = call.caller().await?;
    let name = entry_name(&call.parts)?;
    // Boxed: it is rarely configured, and would enlarge the future of every read.
    if call.app.cache().has_links()
        && let Some(reply) = Box::pin(redirect::answer(call, &caller, &name)).await
    {
        return Ok(reply);
    }
    match entry::read(call, &caller, &name).await {
        Some((reply, _)) => Ok(reply),
        None => Ok(http_error::not_found(&mut call.record)),
    }
}

async fn change(call: &mut Call) -> Result<Reply, HttpError> {
    let caller = call.caller().await?;
    match call.parts.method {
        Method::PUT | Method::POST => write(call, &caller).await,
        Method::DELETE => delete(call, &caller).await,
        Method::OPTIONS => Ok(webdav::options(call)),
        ref other if other.as_str() == "PROPFIND" => webdav::propfind(call, &caller).await,
        ref other if other.as_str() == "MKCOL" => Ok(webdav::mkcol(call)),
        _ => Ok(http_error::method_not_allowed(&mut call.record, METHODS)),
    }
}

/// Stores the body, whatever its media type says (curl posts forms).
async fn write(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let name = entry_name(&call.parts)?;
    let meta = entry::receive(call, caller, &name, Metadata::default()).await?;
    call.record.outcome = Outcome::Stored;
    let mut reply = Reply::new(StatusCode::CREATED, Body::empty());
    entry::insert_etag(reply.headers_mut(), &meta.etag);
    Ok(reply)
}

/// Removes the entry from the caller's first namespace.
async fn delete(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let name = entry_name(&call.parts)?;
    if !caller.may_write {
        return Err(HttpError::new(
            Class::Forbidden,
            "this token may read, but not delete",
        ));
    }
    let precondition = conditions::change(&call.parts.headers)?;
    let cache = call.app.cache();
    if !cache.delete(caller, &name, precondition).await? {
        return Ok(http_error::not_found(&mut call.record));
    }
    call.record.outcome = Outcome::Deleted;
    Ok(Reply::new(StatusCode::NO_CONTENT, Body::empty()))
}

/// The name of the entry that the path means.
fn entry_name(parts: &Parts) -> Result<EntryName, HttpError> {
    let key = super::key::decode(parts)?;
    EntryName::new(Protocol::Http, key).ok_or_else(super::key::out_of_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<F>(_: fn(Call) -> Pin<Box<F>>) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_read_stays_below_what_the_allocator_is_quick_with() {
        let size = future_size(answer_read);
        assert!(size <= 1024, "{size}");
    }
}

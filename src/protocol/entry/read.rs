//! `GET` and `HEAD` of an entry.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::body;
use super::conditions::{self, Verdict};
use crate::auth::Identity;
use crate::cache::{EntryName, Hit};
use crate::error::Class;
use crate::protocol::app::App;
use crate::protocol::plain::{self, Failure};
use crate::range::{ByteRange, Resolved};
use crate::store::{ETag, Meta, Metadata};
use crate::telemetry::access::{Outcome, Report};

/// The entry under `name`, as the headers of the request ask for it; `None` is a miss.
///
/// A tier that fails is a miss with a note for the operator: a cache must not break a build, and
/// Gradle drops the whole cache after one 500.
pub async fn read(
    app: &App,
    caller: &Identity,
    name: &EntryName,
    parts: &Parts,
    report: &mut Report,
) -> Option<Response> {
    read_with_metadata(app, caller, name, parts, report)
        .await
        .map(|(response, _)| response)
}

/// As [`read`], with what the writer stored beside the entry.
pub async fn read_with_metadata(
    app: &App,
    caller: &Identity,
    name: &EntryName,
    parts: &Parts,
    report: &mut Report,
) -> Option<(Response, Metadata)> {
    let hit = match app.cache().get(&caller.scope, name).await {
        Ok(Some(hit)) => hit,
        Ok(None) => {
            report.outcome = Outcome::Miss;
            return None;
        }
        Err(error) => {
            report.outcome = Outcome::Miss;
            report.error = Some(plain::chain(&error).into());
            return None;
        }
    };
    report.namespace = Some(hit.namespace.label().clone());
    report.outcome = Outcome::Hit;
    Some((
        weigh(parts, &hit, report.clone()),
        hit.entry.meta.metadata.clone(),
    ))
}

fn weigh(parts: &Parts, hit: &Hit, mut report: Report) -> Response {
    let etag = &hit.entry.meta.etag;
    match conditions::read(&parts.headers, etag) {
        Verdict::Proceed => respond(parts, hit, report),
        Verdict::NotModified => {
            report.outcome = Outcome::Condition;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.extensions_mut().insert(report);
            describe(&mut response, etag);
            response
        }
        Verdict::Failed => Failure::new(Class::PreconditionFailed, "the precondition does not hold")
            .into_response_with(report),
    }
}

fn respond(parts: &Parts, hit: &Hit, report: Report) -> Response {
    let Meta { size, etag, .. } = &*hit.entry.meta;
    let content = &hit.entry.content;
    let resolved = range(parts, etag).map_or(Resolved::Whole, |range| range.resolve(*size));
    let mut response = match resolved {
        Resolved::Whole => body::respond(StatusCode::OK, content.clone(), report),
        Resolved::Part(part) => {
            let span = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let mut response = body::respond(StatusCode::PARTIAL_CONTENT, content.slice(part), report);
            insert(&mut response, header::CONTENT_RANGE, &span);
            response
        }
        Resolved::Unsatisfiable => {
            let failure = Failure::new(Class::RangeNotSatisfiable, "the range lies outside of the entry");
            let mut response = failure.into_response_with(report);
            insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    describe(&mut response, etag);
    response
}

/// The range that counts: `GET` only (RFC 9110, section 14.2), one header, the right version.
fn range(parts: &Parts, current: &ETag) -> Option<ByteRange> {
    let mut values = parts.headers.get_all(header::RANGE).iter();
    let value = values.next()?.to_str().ok()?;
    let one = values.next().is_none() && parts.method == Method::GET;
    if one && conditions::range_applies(&parts.headers, current) {
        ByteRange::parse(value)
    } else {
        None
    }
}

/// The headers that every successful read has.
fn describe(response: &mut Response, etag: &ETag) {
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    insert(response, header::ETAG, &format!("\"{}\"", etag.as_str()));
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    // Tags are hexadecimal and spans are numbers, so this cannot fail.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

//! `GET` and `HEAD` of an entry.

use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::body;
use super::conditions::{self, Verdict};
use super::headers;
use crate::auth::Identity;
use crate::cache::EntryName;
use crate::error::{Class, chain};
use crate::protocol::app::App;
use crate::protocol::call::{Call, Reply};
use crate::protocol::http_error::HttpError;
use crate::range::{ByteRange, Resolved};
use crate::store::{ETag, Entry, Meta};
use crate::telemetry::access::{Outcome, RequestRecord};

/// The entry under `name`, as the headers of the request ask for it, with what its writer stored
/// beside it. `None` is a miss, for the front-end to put into its own form.
///
/// A tier that fails is a miss with a note for the operator: a cache must not break a build, and
/// Gradle drops the whole cache after one 500.
pub async fn read(call: &mut Call, caller: &Identity, name: &EntryName) -> Option<(Reply, Arc<Meta>)> {
    let cache = call.app.cache();
    let found = if call.parts.method == Method::HEAD {
        cache.head(caller, name).await
    } else {
        cache.get(caller, name).await
    };
    let record = &mut call.record;
    match found {
        Ok(Some(hit)) => {
            record.namespace = Some(Arc::clone(hit.namespace.label()));
            record.outcome = Outcome::Hit;
            let meta = Arc::clone(&hit.entry.meta);
            Some((serve(call, hit.entry), meta))
        }
        Ok(None) => {
            record.outcome = Outcome::Miss;
            None
        }
        Err(error) => {
            record.outcome = Outcome::Miss;
            record.error = Some(chain(&error).into());
            None
        }
    }
}

/// An entry that was found already, as the headers of the request ask for it.
pub fn serve(call: &mut Call, entry: Entry) -> Reply {
    let Call { parts, record, .. } = call;
    answer_conditions(parts, for_method(&parts.method, entry), record)
}

fn for_method(method: &Method, entry: Entry) -> Entry {
    match *method {
        // No file is taken to the connection for nothing.
        Method::HEAD => Entry::described(entry.meta),
        _ => entry,
    }
}

/// The description of the entry under `name`; as for [`read`], a tier that fails is a miss.
pub async fn head(app: &App, caller: &Identity, name: &EntryName) -> Option<Arc<Meta>> {
    let found = app.cache().head(caller, name).await;
    found
        .map(|hit| hit.map(|hit| hit.entry.meta))
        .unwrap_or_else(|error| {
            tracing::warn!(
                error = chain(&error),
                "a look-up failed and was answered as a miss"
            );
            None
        })
}

fn answer_conditions(parts: &Parts, entry: Entry, record: &mut RequestRecord) -> Reply {
    if !conditions::concern(&parts.headers) {
        return whole(entry, record);
    }
    let etag = &entry.meta.etag;
    match conditions::read(&parts.headers, etag) {
        Verdict::Proceed => respond(parts, entry, record),
        Verdict::NotModified => {
            record.outcome = Outcome::Condition;
            let mut reply = Reply::new(StatusCode::NOT_MODIFIED, Body::empty());
            headers::insert_known(reply.headers_mut(), etag);
            reply
        }
        Verdict::Failed => {
            let failure = HttpError::new(Class::PreconditionFailed, "the precondition does not hold");
            failure.render(record)
        }
    }
}

fn whole(entry: Entry, record: &mut RequestRecord) -> Reply {
    body::respond(
        StatusCode::OK,
        &entry.meta.etag,
        entry.content,
        entry.tier,
        record,
    )
}

fn respond(parts: &Parts, entry: Entry, record: &mut RequestRecord) -> Reply {
    let Entry { meta, content, tier } = entry;
    let Meta { size, etag, .. } = &*meta;
    match range(parts, etag).map_or(Resolved::Whole, |range| range.resolve(*size)) {
        Resolved::Whole => body::respond(StatusCode::OK, etag, content, tier, record),
        Resolved::Part(part) => {
            let span = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let (status, content) = (StatusCode::PARTIAL_CONTENT, content.slice(part));
            let mut reply = body::respond(status, etag, content, tier, record);
            insert_span(reply.headers_mut(), &span);
            reply
        }
        Resolved::Unsatisfiable => {
            let failure = HttpError::new(Class::RangeNotSatisfiable, "the range lies outside of the entry");
            let mut reply = failure.render(record);
            insert_span(reply.headers_mut(), &format!("bytes */{size}"));
            reply
        }
    }
}

/// The range that counts: `GET` only (RFC 9110, section 14.2), one header, the right version.
fn range(parts: &Parts, current: &ETag) -> Option<ByteRange> {
    let mut values = parts.headers.get_all(header::RANGE).iter();
    let value = values.next()?.to_str().ok()?;
    let one = values.next().is_none() && parts.method == Method::GET;
    let counts = one && conditions::range_applies(&parts.headers, current);
    counts.then(|| ByteRange::parse(value))?
}

/// Numbers only, so this cannot fail.
fn insert_span(headers: &mut HeaderMap, span: &str) {
    if let Ok(value) = HeaderValue::from_str(span) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

//! `POST caches`, `PATCH caches/{id}` and `POST caches/{id}`.

use axum::body::Body;
use axum::extract::Request;
use http::StatusCode;
use http::request::Parts;

use super::wire::{self, Commit, MOST_BYTES, Reserve, Reserved};
use super::{CACHES, Handled, NAME, Span, UPLOAD};
use crate::cache::actions::{CacheKey, Error, Place, UploadId, Version};
use crate::protocol::admit::{Admitted, admit, admit_late};
use crate::protocol::app::App;
use crate::protocol::http_error::HttpError;
use crate::protocol::reply::Reply;
use crate::protocol::trouble::Trouble;
use crate::protocol::{elsewhere, entry, incoming};
use crate::telemetry::access::{Outcome, RequestRecord};

pub(super) async fn reserve(app: &App, request: Request) -> Handled {
    let Admitted {
        caller,
        parts,
        body,
        mut record,
    } = admit(app, request, NAME, CACHES).await.map_err(denied)?;
    let body = match incoming::small(app, &parts, body, MOST_BYTES).await {
        Ok(body) => body,
        Err(failure) => return Err((failure.into(), record)),
    };
    record.received = body.len() as u64;
    let (key, version, size) = match asked(app, &body) {
        Ok(asked) => asked,
        Err(trouble) => return Err((trouble, record)),
    };
    if let Some(url) = elsewhere::home_of(app, &parts, &caller, &key, &version)
        && let Some(reply) = elsewhere::call(app, &url, &parts, &body, &record).await
    {
        return Ok(reply);
    }
    match app.actions().reserve(&caller, &key, &version, size).await {
        Ok(id) => {
            record.outcome = Outcome::Control;
            let reserved = Reserved { cache_id: id.get() };
            Ok(wire::reply(StatusCode::CREATED, &reserved, record))
        }
        Err(error) => Err((error.into(), record)),
    }
}

/// Key, version and, if the client says so, the size.
fn asked(app: &App, body: &bytes::Bytes) -> Result<(CacheKey, Version, Option<u64>), Trouble> {
    let asked: Reserve = wire::parse(body)?;
    let (key, version) = (CacheKey::new(&asked.key)?, Version::new(&asked.version)?);
    let size = asked.cache_size.and_then(|size| u64::try_from(size).ok());
    let limit = app.max_entry_size();
    match size.filter(|size| *size > limit) {
        Some(size) => Err(HttpError::too_large(size, limit).into()),
        None => Ok((key, version, size)),
    }
}

/// Passes a request on if its upload is on another server; else gives back what it needs here.
async fn pass(
    app: &App,
    id: Option<UploadId>,
    parts: Parts,
    body: Body,
    record: RequestRecord,
) -> Result<(Parts, Body, RequestRecord), Handled> {
    let home = match id {
        Some(id) => elsewhere::home(app, &parts, id).await,
        None => None,
    };
    match home {
        None => Ok((parts, body, record)),
        Some(url) => {
            let passed = elsewhere::pass(app, &url, parts, body, record).await;
            Err(passed.map_err(|(failure, record)| (failure.into(), record)))
        }
    }
}

/// Takes a chunk. The toolkit sends it without `Content-Length`, so `Content-Range` says how long it is;
/// chunks come in any order, and again when the client did not get the answer.
pub(super) async fn take(app: &App, request: Request, id: Option<UploadId>) -> Handled {
    let Admitted {
        caller: auth,
        parts,
        body,
        record,
    } = admit_late(app, request, NAME, UPLOAD).await.map_err(denied)?;
    let (parts, body, mut record) = match pass(app, id, parts, body, record).await {
        Ok(here) => here,
        Err(passed) => return passed,
    };
    let allowed = known(id).and_then(|id| {
        app.actions().may_upload(&auth, id)?;
        Ok((id, Span::of(&parts.headers)?))
    });
    let (id, span) = match allowed {
        Ok(allowed) => allowed,
        Err(trouble) => {
            app.discard(&parts, body);
            return Err((trouble, record));
        }
    };
    let place = Place::At(span.start);
    let received = entry::stage(app, id, place, Some(span.length), &parts, body).await;
    record.received = received.bytes;
    record.tier = "disk";
    match received.result {
        Ok(()) => Ok(no_content(Outcome::Control, record)),
        Err(trouble) => Err((trouble, record)),
    }
}

pub(super) async fn commit(app: &App, request: Request, id: Option<UploadId>) -> Handled {
    let Admitted {
        caller: auth,
        parts,
        body,
        record,
    } = admit_late(app, request, NAME, UPLOAD).await.map_err(denied)?;
    let (parts, body, mut record) = match pass(app, id, parts, body, record).await {
        Ok(here) => here,
        Err(passed) => return passed,
    };
    let body = match incoming::small(app, &parts, body, MOST_BYTES).await {
        Ok(body) => body,
        Err(failure) => return Err((failure.into(), record)),
    };
    record.received = body.len() as u64;
    let committing = async {
        let (id, Commit { size }) = (known(id)?, wire::parse(&body)?);
        app.actions().commit(&auth, id, size).await?;
        Ok(())
    };
    match committing.await {
        Ok(()) => Ok(no_content(Outcome::Stored, record)),
        Err(trouble) => Err((trouble, record)),
    }
}

fn no_content(outcome: Outcome, mut record: RequestRecord) -> Reply {
    record.outcome = outcome;
    Reply::new(StatusCode::NO_CONTENT, Body::empty(), record)
}

fn known(id: Option<UploadId>) -> Result<UploadId, Trouble> {
    id.ok_or(Trouble::Cache(Error::UnknownUpload))
}

/// In the words that let the toolkit go on with a plain warning.
fn denied((failure, record): (HttpError, RequestRecord)) -> (Trouble, RequestRecord) {
    (failure.in_words("cache write denied: ").into(), record)
}

//! One artifact (`/v8/artifacts/{hash}`), and how artifacts are named.

use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

use super::ROOT;
use crate::auth::Identity;
use crate::cache::EntryName;
use crate::error::Class;
use crate::protocol::call::{Call, Reply};
use crate::protocol::entry;
use crate::protocol::http_error::HttpError;
use crate::protocol::path::DecodedPath;
use crate::store::{Metadata, Protocol};
use crate::telemetry::access::Outcome;

/// Stored with an artifact and sent back with it. Without the tag signed caches never hit; without
/// the duration "time saved" is 0.
pub(super) const HEADERS: [&str; 4] = [
    "x-artifact-duration",
    "x-artifact-tag",
    "x-artifact-sha",
    "x-artifact-dirty-hash",
];

pub(super) async fn read(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let name = name_of(&call.parts)?;
    let Some((mut reply, meta)) = entry::read(call, caller, &name).await else {
        return Ok(Reply::new(StatusCode::NOT_FOUND, Body::empty()));
    };
    for (name, value) in meta.metadata.iter() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            reply.headers_mut().insert(name, value);
        }
    }
    Ok(reply)
}

pub(super) async fn write(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let name = name_of(&call.parts)?;
    let metadata = metadata(&call.parts)?;
    entry::receive(call, caller, &name, metadata).await?;
    call.record.outcome = Outcome::Stored;
    Ok(Reply::new(StatusCode::ACCEPTED, "{\"urls\":[]}"))
}

fn metadata(parts: &Parts) -> Result<Metadata, HttpError> {
    let mut metadata = Metadata::default();
    for name in HEADERS {
        let Some(value) = parts.headers.get(name) else {
            continue;
        };
        let value = value
            .to_str()
            .map_err(|_| invalid("an x-artifact header is not text"))?;
        metadata
            .insert(name, value)
            .map_err(|_| invalid("the x-artifact headers are too long"))?;
    }
    Ok(metadata)
}

fn name_of(parts: &Parts) -> Result<EntryName, HttpError> {
    crate::protocol::key::decode(parts)?;
    let path = DecodedPath::of(&parts.uri);
    let hash = path.after(ROOT).flatten().unwrap_or_default();
    Ok(name(hash)?.with_version(team(parts)?))
}

/// The name of an artifact, still without its team.
pub(super) fn name(hash: &[u8]) -> Result<EntryName, HttpError> {
    EntryName::new(Protocol::Turbo, hash).ok_or_else(|| invalid("the hash is empty or too long"))
}

/// The team of a request, which is the version of its artifacts: `teamId` if it is there, else `slug`. turbo sends the
/// one that it was configured with.
pub(super) fn team(parts: &Parts) -> Result<Arc<str>, HttpError> {
    const MAX_TEAM_BYTES: usize = 256;
    let query = parts.uri.query().unwrap_or_default();
    let value = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    };
    let team = match (value("teamId"), value("slug")) {
        (Some(id), _) => format!("id:{id}"),
        (None, Some(slug)) => format!("slug:{slug}"),
        (None, None) => String::new(),
    };
    if team.len() > MAX_TEAM_BYTES {
        return Err(invalid("the name of the team is too long"));
    }
    Ok(team.into())
}

fn invalid(text: &'static str) -> HttpError {
    HttpError::new(Class::Invalid, text)
}

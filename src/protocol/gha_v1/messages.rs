//! The bodies of the first generation: JSON in camel case.

use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::cache::actions::{CacheKey, Version};
use crate::protocol::call::Reply;
use crate::protocol::gha::GhaError;

/// `POST caches`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReserveRequest {
    pub(super) key: String,
    pub(super) version: String,
    /// Bytes of the archive. BuildKit, sccache and act do not know it, and leave it out or write -1.
    #[serde(default)]
    pub(super) cache_size: Option<i64>,
}

/// `POST caches/{id}`.
#[derive(Debug, Deserialize)]
pub(super) struct CommitRequest {
    pub(super) size: u64,
}

/// The answer of `POST caches`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReserveResponse {
    pub(super) cache_id: u64,
}

/// An entry as `GET caches` lists it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedEntry {
    cache_key: String,
    cache_version: String,
    /// Always empty: no client needs it, and namespaces are not shown.
    scope: &'static str,
    creation_time: String,
}

/// The answer of `GET cache`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FindResponse {
    pub(super) archive_location: String,
    #[serde(flatten)]
    pub(super) entry: ListedEntry,
}

/// The answer of `GET caches`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListResponse {
    pub(super) total_count: usize,
    pub(super) artifact_caches: Vec<ListedEntry>,
}

impl ListedEntry {
    pub(super) fn new(key: &CacheKey, version: &Version, created: SystemTime) -> Self {
        Self {
            cache_key: key.as_str().to_owned(),
            cache_version: version.as_str().to_owned(),
            scope: "",
            creation_time: humantime::format_rfc3339_millis(created).to_string(),
        }
    }
}

/// Reads the body of a control call.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, GhaError> {
    serde_json::from_slice(body)
        .map_err(|_| GhaError::invalid("the body is not the JSON object that this call takes"))
}

/// An answer with a body.
pub(super) fn reply(status: StatusCode, body: &impl Serialize) -> Reply {
    // Strings and numbers only, so this cannot fail.
    let text = serde_json::to_vec(body).unwrap_or_default();
    let mut reply = Reply::new(status, Body::from(text));
    let media_type = HeaderValue::from_static("application/json; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, media_type);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn reservations_may_leave_out_the_size() {
        let size = |text: &'static str| {
            let reserve: ReserveRequest = parse(&Bytes::from_static(text.as_bytes())).expect(text);
            assert_eq!((reserve.key.as_str(), reserve.version.as_str()), ("k", "v"));
            reserve.cache_size
        };
        assert_eq!(size(r#"{"key":"k","version":"v"}"#), None);
        assert_eq!(size(r#"{"key":"k","version":"v","cacheSize":null}"#), None);
        assert_eq!(
            size(r#"{"key":"k","version":"v","cacheSize":-1,"x":[]}"#),
            Some(-1)
        );
        assert_eq!(size(r#"{"version":"v","cacheSize":12,"key":"k"}"#), Some(12));
    }

    #[test]
    fn other_bodies_are_refused() {
        for text in [
            "",
            "[]",
            "null",
            r#"{"key":"k"}"#,
            r#"{"key":1,"version":"v"}"#,
            "{",
        ] {
            let body = Bytes::from_static(text.as_bytes());
            assert!(parse::<ReserveRequest>(&body).is_err(), "{text}");
        }
        for text in ["{}", r#"{"size":-1}"#, r#"{"size":"1"}"#] {
            assert!(
                parse::<CommitRequest>(&Bytes::from_static(text.as_bytes())).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_hit_has_exactly_the_documented_fields() {
        let (key, version) = (CacheKey::new("k").unwrap(), Version::new("v").unwrap());
        let created = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_007);
        let hit = FindResponse {
            archive_location: "http://x/y".into(),
            entry: ListedEntry::new(&key, &version, created),
        };
        let expected = json!({
            "archiveLocation": "http://x/y", "cacheKey": "k", "cacheVersion": "v", "scope": "",
            "creationTime": "2027-01-15T08:00:00.007Z",
        });
        assert_eq!(serde_json::to_value(&hit).unwrap(), expected);
    }
}

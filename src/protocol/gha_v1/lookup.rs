//! `GET cache` and `GET caches`.

use axum::body::Body;
use http::StatusCode;
use http::request::Parts;

use super::error::RestError;
use super::messages::{self, FindResponse, ListResponse, ListedEntry};
use crate::cache::actions::{LookupQuery, Version};
use crate::protocol::call::{Call, Reply};
use crate::protocol::gha::{self, GhaError};
use crate::protocol::query;
use crate::telemetry::access::Outcome;

/// No client lists entries. People do, when they look for a mistake.
const MAX_LISTED_ENTRIES: usize = 100;

pub(super) async fn find(call: &mut Call) -> Result<Reply, RestError> {
    let caller = gha::reader(call).await?;
    let query = lookup_query(&call.parts)?;
    let Some(found) = gha::find(call, &caller, &query).await? else {
        return Ok(Reply::new(StatusCode::NO_CONTENT, Body::empty()));
    };
    let response = FindResponse {
        archive_location: call.app.links().blob(&call.parts, &found.ticket),
        entry: ListedEntry::new(&found.key, &found.version, found.created),
    };
    Ok(messages::reply(StatusCode::OK, &response))
}

pub(super) async fn list(call: &mut Call) -> Result<Reply, RestError> {
    let caller = gha::reader(call).await?;
    let prefix = query::form_parameter(&call.parts, "key")?.unwrap_or_default();
    let found = call
        .app
        .actions()
        .list(&caller, &prefix, MAX_LISTED_ENTRIES)
        .await;
    call.record.outcome = Outcome::Control;
    let response = ListResponse {
        total_count: found.len(),
        artifact_caches: found
            .iter()
            .map(|(key, version, created)| ListedEntry::new(key, version, *created))
            .collect(),
    };
    Ok(messages::reply(StatusCode::OK, &response))
}

/// The keys are one parameter, with commas between them.
fn lookup_query(parts: &Parts) -> Result<LookupQuery, GhaError> {
    let keys = query::form_parameter(parts, "keys")?.unwrap_or_default();
    let keys = gha::cache_keys(
        keys.split(','),
        "the query names no keys",
        "the query names more than 64 keys",
    )?;
    let version = query::form_parameter(parts, "version")?.unwrap_or_default();
    Ok(LookupQuery {
        keys,
        version: Version::new(&version)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(query: &str) -> Option<Vec<String>> {
        let request = http::Request::get(format!("/x?{query}")).body(()).unwrap();
        let (parts, ()) = request.into_parts();
        let query = lookup_query(&parts).ok()?;
        assert_eq!(query.version.as_str(), "v");
        Some(query.keys.iter().map(|key| key.as_str().to_owned()).collect())
    }

    #[test]
    fn keys_are_split_after_they_were_decoded() {
        let check = |query: &str, expected: &[&str]| {
            assert_eq!(keys(query).expect(query), expected, "{query}");
        };
        check("keys=a&version=v", &["a"]);
        check("version=v&keys=a%2Cb%2Cc", &["a", "b", "c"]);
        check("keys=a,b&version=v", &["a", "b"]);
        check("keys=%2Ca%2C%2Cb%2C&version=v", &["a", "b"]);
        check(
            "keys=sccache/.sccache_check&version=v",
            &["sccache/.sccache_check"],
        );
        check("keys=a+b%2Bc%20d%252C&version=v", &["a b+c d%2C"]);
    }

    #[test]
    fn no_keys_too_many_and_impossible_ones_are_refused() {
        for query in [
            "version=v",
            "keys=&version=v",
            "keys=%2C&version=v",
            "keys=a",
            "keys=a&version=",
            "keys=%ff&version=v",
            "keys=a%0Ab&version=v",
            &format!("keys={}&version=v", "x".repeat(513)),
            &format!("keys={}&version=v", "k,".repeat(65)),
        ] {
            assert_eq!(keys(query), None, "{query}");
        }
        assert_eq!(
            keys(&format!("keys={}&version=v", "k,".repeat(64))).map(|keys| keys.len()),
            Some(64)
        );
    }
}

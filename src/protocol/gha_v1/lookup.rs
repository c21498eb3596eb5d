//! `GET cache` and `GET caches`.

use axum::body::Body;
use axum::extract::Request;
use http::StatusCode;
use http::request::Parts;

use super::wire::{self, Hit, List, Listed};
use super::{CACHE, CACHES, Handled, NAME};
use crate::cache::actions::{CacheKey, Error, LookupQuery, Version};
use crate::error::chain;
use crate::protocol::admit::{Admitted, admit};
use crate::protocol::app::App;
use crate::protocol::http_error::HttpError;
use crate::protocol::query;
use crate::protocol::reply::Reply;
use crate::protocol::trouble::Trouble;
use crate::telemetry::access::{Outcome, RequestRecord};

/// The toolkit sends ten at most; the others do not check.
const MOST_KEYS: usize = 64;
/// A list is for people who look for a mistake.
const MOST_LISTED: usize = 100;

pub(super) async fn find(app: &App, request: Request) -> Handled {
    let Admitted {
        caller,
        parts,
        body,
        mut record,
    } = admit(app, request, NAME, CACHE).await.map_err(denied)?;
    app.discard(&parts, body);
    let wanted = match wanted(&parts) {
        Ok(wanted) => wanted,
        Err(trouble) => return Err((trouble, record)),
    };
    let found = match app.actions().find(&caller, &wanted).await {
        Ok(found) => found,
        // A cache must not break a build: a tier that fails is a miss with a note for the operator.
        Err(Error::Store(error)) => {
            record.error = Some(chain(&error).into());
            None
        }
        Err(error) => return Err((error.into(), record)),
    };
    let Some(found) = found else {
        record.outcome = Outcome::Miss;
        return Ok(Reply::new(StatusCode::NO_CONTENT, Body::empty(), record));
    };
    record.outcome = Outcome::Hit;
    record.namespace = Some(found.namespace.label().clone());
    let hit = Hit {
        archive_location: app.links().blob(&parts, &found.ticket),
        entry: Listed::new(&found.key, &found.version, found.created),
    };
    Ok(wire::reply(StatusCode::OK, &hit, record))
}

pub(super) async fn list(app: &App, request: Request) -> Handled {
    let Admitted {
        caller,
        parts,
        body,
        mut record,
    } = admit(app, request, NAME, CACHES).await.map_err(denied)?;
    app.discard(&parts, body);
    let prefix = match query::form_parameter(&parts, "key") {
        Ok(prefix) => prefix.unwrap_or_default(),
        Err(failure) => return Err((failure.into(), record)),
    };
    let found = app.actions().list(&caller, &prefix, MOST_LISTED).await;
    record.outcome = Outcome::Control;
    let list = List {
        total_count: found.len(),
        artifact_caches: found
            .iter()
            .map(|(key, version, created)| Listed::new(key, version, *created))
            .collect(),
    };
    Ok(wire::reply(StatusCode::OK, &list, record))
}

/// A list without a primary key, or with a key that nobody can have stored, is the fault of the client.
fn wanted(parts: &Parts) -> Result<LookupQuery, Trouble> {
    let keys = query::form_parameter(parts, "keys")?.unwrap_or_default();
    let keys: Vec<&str> = keys.split(',').filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        return Err(Trouble::invalid("the query names no keys"));
    }
    if keys.len() > MOST_KEYS {
        return Err(Trouble::invalid("the query names more than 64 keys"));
    }
    let keys: Result<Vec<CacheKey>, _> = keys.into_iter().map(CacheKey::new).collect();
    let version = query::form_parameter(parts, "version")?.unwrap_or_default();
    Ok(LookupQuery {
        keys: keys?,
        version: Version::new(&version)?,
    })
}

/// In the words that let the toolkit go on with a plain warning.
fn denied((failure, record): (HttpError, RequestRecord)) -> (Trouble, RequestRecord) {
    (failure.in_words("cache read denied: ").into(), record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(query: &str) -> Option<Vec<String>> {
        let request = http::Request::get(format!("/x?{query}")).body(()).unwrap();
        let (parts, ()) = request.into_parts();
        let wanted = wanted(&parts).ok()?;
        assert_eq!(wanted.version.as_str(), "v");
        Some(wanted.keys.iter().map(|key| key.as_str().to_owned()).collect())
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

//! `POST /v8/artifacts`: which of these artifacts exist (dry runs of turbo 2.11).

use axum::body::Body;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{artifacts, error};
use crate::auth::Identity;
use crate::error::Class;
use crate::protocol::admit::Admitted;
use crate::protocol::app::App;
use crate::protocol::entry;
use crate::protocol::http_error::HttpError;
use crate::protocol::reply::Reply;

/// A hash has some 16 characters; this is far above the tasks of any repository.
const MOST_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Query {
    hashes: Vec<String>,
}

pub(super) async fn answer(app: &App, admitted: Admitted) -> Reply {
    let Admitted {
        caller,
        parts,
        body,
        record,
    } = admitted;
    match look_up(app, &caller, &parts, body).await {
        Ok(found) => super::json(Value::Object(found).to_string(), record),
        Err(failure) => error::respond(failure, record),
    }
}

async fn look_up(
    app: &App,
    caller: &Identity,
    parts: &Parts,
    body: Body,
) -> Result<Map<String, Value>, HttpError> {
    let reading = Limited::new(body, MOST_BYTES).collect();
    let bytes = tokio::time::timeout(app.limits().body_idle_timeout, reading).await;
    let bytes = bytes.map_err(|_| HttpError::new(Class::Timeout, "the body did not arrive in time"))?;
    let bytes = bytes.map_err(|_| invalid())?.to_bytes();
    let query: Query = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let mut found = Map::new();
    for hash in query.hashes {
        let name = artifacts::name(parts, hash.as_bytes())?;
        let meta = entry::head(app, caller, &name).await;
        let value = meta.map_or(Value::Null, |meta| {
            let duration = meta
                .metadata
                .get("x-artifact-duration")
                .and_then(|text| text.parse::<u64>().ok());
            json!({
                "size": meta.size,
                "taskDurationMs": duration.unwrap_or(0),
                "tag": meta.metadata.get("x-artifact-tag"),
            })
        });
        found.insert(hash, value);
    }
    Ok(found)
}

fn invalid() -> HttpError {
    HttpError::new(
        Class::Invalid,
        "the body must be {\"hashes\":[...]} of at most 1 MiB",
    )
}

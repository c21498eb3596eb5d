//! `POST /v8/artifacts`: which of these artifacts exist (dry runs of turbo 2.11).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::artifacts;
use crate::auth::Identity;
use crate::error::Class;
use crate::protocol::call::{Call, Reply};
use crate::protocol::entry;
use crate::protocol::http_error::HttpError;

/// A hash has some 16 characters; this is far above the tasks of any repository.
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Query {
    hashes: Vec<String>,
}

pub(super) async fn answer(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let bytes = call.small_body(MAX_BYTES).await?;
    let query: Query = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let mut found = Map::new();
    for hash in query.hashes {
        let name = artifacts::name(&call.parts, hash.as_bytes())?;
        let meta = entry::head(&call.app, caller, &name).await;
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
    Ok(super::json(call, Value::Object(found).to_string()))
}

fn invalid() -> HttpError {
    HttpError::new(
        Class::Invalid,
        "the body must be {\"hashes\":[...]} of at most 1 MiB",
    )
}

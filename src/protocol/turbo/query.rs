//! Which of several artifacts there are (`POST /v8/artifacts`, dry runs of turbo 2.11).
//!
//! turbo asks for each artifact by itself when the answer is another one than 200, so a call that is too much is
//! refused. Look-ups of one call share the runtime with the requests of all others, and end when nobody waits for them.

use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::artifacts;
use crate::auth::Identity;
use crate::error::Class;
use crate::protocol::app::App;
use crate::protocol::call::{Call, Reply, while_connected};
use crate::protocol::entry;
use crate::protocol::http_error::HttpError;
use crate::store::Meta;
use crate::store::memory::CountedBytes;
use crate::sys;

/// A hash has some 16 characters; this is far above the tasks of any repository.
const MAX_QUERY_BYTES: usize = 1 << 20;
/// Longer bodies are read away from the async threads.
const MAX_INLINE_BYTES: usize = 64 * 1024;
/// The most hashes of one call.
const MAX_HASHES: usize = 20_000;
/// What a hash takes in memory once it is read: a pointer with lengths, and what the allocator gives at least.
const HASH_MEMORY_BYTES: usize = 64;
/// Look-ups of one call at once.
const PARALLEL_LOOKS: usize = 16;
/// After so many look-ups others have their turn.
const LOOKS_PER_TURN: usize = 32;

#[derive(Deserialize)]
struct Query {
    hashes: Hashes,
}

/// The hashes of a call, and whether there were more than it may have.
struct Hashes {
    list: Vec<String>,
    too_many: bool,
}

/// Answers which of some artifacts exist.
pub(super) async fn query(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    let (body, mut memory) = call.counted_body(MAX_QUERY_BYTES).await?.into_parts();
    let is_short = body.len() <= MAX_INLINE_BYTES;
    let hashes = sys::run_sized(is_short, move || parse(&body)).await;
    let hashes = hashes.unwrap_or_else(|_| Err(malformed()))?;
    memory.hold_or_refuse((hashes.len() * HASH_MEMORY_BYTES) as u64)?;
    let team = artifacts::team(&call.parts)?;
    for hash in &hashes {
        artifacts::name(hash.as_bytes())?;
    }
    let answer = CountedBytes::new(call.memory());
    let looks = look_up(&call.app, caller, (hashes, &team), answer);
    let found = while_connected(call.client.as_ref(), looks).await??;
    Ok(super::control(call, found.into_bytes()))
}

/// Each hash once.
fn parse(body: &[u8]) -> Result<Vec<String>, HttpError> {
    let Query { hashes } = serde_json::from_slice(body).map_err(|_| malformed())?;
    if hashes.too_many {
        let text = format!("a query names at most {MAX_HASHES} hashes");
        return Err(HttpError::new(Class::TooLarge, text));
    }
    let mut list = hashes.list;
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

fn malformed() -> HttpError {
    HttpError::new(
        Class::Invalid,
        "the body must be {\"hashes\":[...]} of at most 1 MiB",
    )
}

/// Adds to `answer` what is told of each of these artifacts of a team.
async fn look_up(
    app: &App,
    caller: &Identity,
    (hashes, team): (Vec<String>, &Arc<str>),
    mut answer: CountedBytes,
) -> Result<CountedBytes, HttpError> {
    let looks = hashes.into_iter().enumerate().map(|(nth, hash)| async move {
        if nth % LOOKS_PER_TURN == LOOKS_PER_TURN - 1 {
            // Look-ups that are answered at once would never let go of the thread.
            tokio::task::yield_now().await;
        }
        let name = artifacts::name(hash.as_bytes())?.with_version(Arc::clone(team));
        Ok::<_, HttpError>((hash, entry::head(app, caller, &name).await))
    });
    let mut looks = stream::iter(looks).buffered(PARALLEL_LOOKS);
    answer.extend(b"{")?;
    let mut comma = "";
    while let Some((hash, meta)) = looks.try_next().await? {
        let told = meta.map_or(Value::Null, |meta| told(&meta));
        answer.extend(format!("{comma}{}:{told}", Value::from(hash)).as_bytes())?;
        comma = ",";
    }
    answer.extend(b"}")?;
    Ok(answer)
}

fn told(meta: &Meta) -> Value {
    let duration = meta
        .metadata
        .get("x-artifact-duration")
        .and_then(|text| text.parse::<u64>().ok());
    json!({
        "size": meta.size,
        "taskDurationMs": duration.unwrap_or(0),
        "tag": meta.metadata.get("x-artifact-tag"),
    })
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(HashesVisitor)
    }
}

struct HashesVisitor;

impl<'de> Visitor<'de> for HashesVisitor {
    type Value = Hashes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of hashes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Hashes, A::Error> {
        let mut list = Vec::new();
        while list.len() < MAX_HASHES {
            match elements.next_element()? {
                Some(hash) => list.push(hash),
                None => {
                    return Ok(Hashes {
                        list,
                        too_many: false,
                    });
                }
            }
        }
        // The rest is passed over: it takes no memory.
        let mut too_many = false;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            too_many = true;
        }
        Ok(Hashes { list, too_many })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(hashes: impl Iterator<Item = String>) -> Vec<u8> {
        json!({"other": 1, "hashes": hashes.collect::<Vec<_>>()})
            .to_string()
            .into()
    }

    #[test]
    fn each_hash_is_asked_for_once() {
        let twice = (0..MAX_HASHES).map(|nth| (nth % 3).to_string());
        assert_eq!(parse(&body(twice)).unwrap(), ["0", "1", "2"]);
        assert!(parse(b"{\"hashes\":[]}").unwrap().is_empty());
    }

    #[test]
    fn a_list_that_is_too_long_is_refused_and_what_is_no_list_too() {
        let of = |count: usize| parse(&body((0..count).map(|nth| nth.to_string())));
        assert_eq!(of(MAX_HASHES).unwrap().len(), MAX_HASHES);
        assert_eq!(of(MAX_HASHES + 1).unwrap_err().class(), Class::TooLarge);
        for bad in [
            "",
            "[]",
            "{}",
            "{\"hashes\":1}",
            "{\"hashes\":[1]}",
            "{\"hashes\":[",
        ] {
            assert_eq!(
                parse(bad.as_bytes()).unwrap_err().class(),
                Class::Invalid,
                "{bad}"
            );
        }
    }
}

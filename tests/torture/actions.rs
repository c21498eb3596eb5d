//! Clients of the Actions cache: saves in blocks of any size and order, over any server, and restores.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::json;

use crate::client::{self, Client, authorized};
use crate::history::{Fate, Sight, Slot};
use crate::http::{Answer, Asking, Form, Outcome, Payload};
use crate::world::World;

pub(crate) const VERSION: &str = "b9a7c7b6f2b54cf6a4d9d6ac4e1e9ff6d8a5f3b1c0e2947586afbecd10325476";
const KEYS: u64 = 30;
/// As the toolkit: a step is sent again when it has no answer or 5xx.
const TRIES: usize = 8;
const RETRY_PAUSE: Duration = Duration::from_millis(300);
const MAX_BLOCKS: u64 = 8;
const MAX_PAUSE_MILLIS: u64 = 400;

/// Which generation of the protocol an entry is saved and restored with.
fn is_first(slot: &Slot) -> bool {
    slot.key.starts_with("v1-")
}

fn slot(client: &mut Client) -> Slot {
    let generation = client.rng.between(1, 2);
    let number = client.rng.below(KEYS);
    Slot {
        tenant: client.tenant(),
        key: format!("v{generation}-{number}"),
        actions: true,
    }
}

/// How a step went after its repetitions.
struct Step {
    answer: Option<Answer>,
    /// Whether an earlier try may have been heard.
    repeated: bool,
}

impl Step {
    fn succeeded(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|answer| answer.status.is_success())
    }

    /// What is known of a step that makes an entry visible.
    fn fate(&self) -> Fate {
        match &self.answer {
            Some(answer) if answer.status.is_success() => Fate::Done,
            Some(answer) if answer.status.is_client_error() && !self.repeated => Fate::Refused,
            _ => Fate::Unknown,
        }
    }
}

/// Sends a step until it has an answer that is no 5xx; each time to any server.
async fn step(client: &mut Client, what: &str, slot: &Slot, asking: &Asking) -> Step {
    let mut repeated = false;
    for _ in 0..TRIES {
        let server = client.server();
        let begin = client.world.history.now();
        let outcome = asking.send(client.world.address(server)).await;
        client.told(what, slot, server, &outcome, json!({"begin": begin}));
        match outcome {
            Outcome::Answer(answer) if !answer.status.is_server_error() => {
                return Step {
                    answer: Some(answer),
                    repeated,
                };
            }
            Outcome::Unsent => {}
            Outcome::Answer(_) | Outcome::Broken(_) => repeated = true,
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Step {
        answer: None,
        repeated,
    }
}

/// Clients take their time between blocks, so that a crash finds uploads that have begun.
async fn dawdle(client: &mut Client) {
    if client.rng.chance(40) {
        tokio::time::sleep(Duration::from_millis(client.rng.spread(5, MAX_PAUSE_MILLIS))).await;
    }
}

/// Saves an entry.
pub(crate) async fn save(client: &mut Client) {
    let slot = slot(client);
    let len = client.size();
    let server = client.server();
    let id = client.world.history.begin(&slot, server, Some(len));
    let fate = match is_first(&slot) {
        true => first_generation(client, &slot, id, len).await,
        false => second_generation(client, &slot, id, len).await,
    };
    client.world.history.finish(&slot, id, fate);
    let note =
        json!({"id": id, "len": len, "tenant": slot.tenant, "key": slot.key, "fate": format!("{fate:?}")});
    client.world.report.note(client.world.history.now(), "save", note);
    client.world.report.count(format!("save {fate:?}"));
    // Before the next start, which reads everything anew, damage would be served.
    if fate == Fate::Done && client.rng.chance(60) {
        look(&client.world, &slot, server, false).await;
    }
}

/// Ranges that together are a body, in any order.
fn blocks(client: &mut Client, len: u64) -> Vec<(u64, u64)> {
    let mut cuts = vec![0, len];
    for _ in 1..client.rng.between(1, MAX_BLOCKS) {
        cuts.push(client.rng.below(len + 1));
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

fn shuffle<T>(client: &mut Client, list: &mut [T]) {
    for nth in (1..list.len()).rev() {
        list.swap(nth, client.rng.below(nth as u64 + 1) as usize);
    }
}

async fn first_generation(client: &mut Client, slot: &Slot, id: u64, len: u64) -> Fate {
    let path = "/_apis/artifactcache/caches";
    let body = json!({"key": slot.key, "version": VERSION}).to_string();
    let reserve = authorized(&client.world, slot.tenant, Method::POST, path).text(body);
    let reserved = step(client, "v1 reserve", slot, &reserve).await;
    let number = reserved.answer.filter(|answer| answer.status.is_success());
    let Some(number) = number.and_then(|answer| answer.json()["cacheId"].as_u64()) else {
        return Fate::Refused;
    };
    let path = format!("{path}/{number}");
    let mut blocks = blocks(client, len);
    shuffle(client, &mut blocks);
    for (from, to) in blocks {
        dawdle(client).await;
        let form = if client.rng.chance(50) {
            Form::Length
        } else {
            Form::Chunked
        };
        let patch = authorized(&client.world, slot.tenant, Method::PATCH, &path)
            .header("content-range", format!("bytes {from}-{}/*", to - 1))
            .payload(Payload::Piece { id, from, to, form });
        if !step(client, "v1 patch", slot, &patch).await.succeeded() {
            return Fate::Incomplete;
        }
    }
    let commit =
        authorized(&client.world, slot.tenant, Method::POST, &path).text(json!({"size": len}).to_string());
    step(client, "v1 commit", slot, &commit).await.fate()
}

pub(crate) fn call(world: &World, tenant: usize, method: &str, body: &serde_json::Value) -> Asking {
    let path = format!("/twirp/github.actions.results.api.v1.CacheService/{method}");
    authorized(world, tenant, Method::POST, path)
        .header("content-type", "application/json")
        .text(body.to_string())
}

/// The path and the query of a link.
pub(crate) fn target(link: &str) -> Option<String> {
    let rest = link.split_once("://")?.1;
    Some(rest[rest.find('/')?..].to_owned())
}

async fn second_generation(client: &mut Client, slot: &Slot, id: u64, len: u64) -> Fate {
    let body = json!({"key": slot.key, "version": VERSION});
    let create = call(&client.world, slot.tenant, "CreateCacheEntry", &body);
    let created = step(client, "v2 create", slot, &create).await;
    let url = created.answer.filter(|answer| answer.status.is_success());
    let Some(url) = url.and_then(|answer| target(answer.json()["signed_upload_url"].as_str()?)) else {
        return Fate::Refused;
    };
    let sent = match client.rng.chance(30) {
        true => whole(client, slot, &url, id, len).await,
        false => in_blocks(client, slot, &url, id, len).await,
    };
    if !sent {
        return Fate::Incomplete;
    }
    let body = json!({"key": slot.key, "version": VERSION, "size_bytes": len.to_string()});
    let finalize = call(&client.world, slot.tenant, "FinalizeCacheEntryUpload", &body);
    step(client, "v2 finalize", slot, &finalize).await.fate()
}

async fn whole(client: &mut Client, slot: &Slot, url: &str, id: u64, len: u64) -> bool {
    let put = Asking::new(Method::PUT, url)
        .header("x-ms-blob-type", "BlockBlob")
        .payload(Payload::Piece {
            id,
            from: 0,
            to: len,
            form: Form::Length,
        });
    step(client, "v2 put", slot, &put).await.succeeded()
}

async fn in_blocks(client: &mut Client, slot: &Slot, url: &str, id: u64, len: u64) -> bool {
    let ranges = blocks(client, len);
    let name = |nth: usize| STANDARD.encode(format!("{id:08}-{nth:08}"));
    let list: String = (0..ranges.len())
        .map(|nth| format!("<Latest>{}</Latest>", name(nth)))
        .collect();
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    shuffle(client, &mut order);
    for nth in order {
        dawdle(client).await;
        let (from, to) = ranges[nth];
        let escaped: String = url::form_urlencoded::byte_serialize(name(nth).as_bytes()).collect();
        let put =
            Asking::new(Method::PUT, format!("{url}&comp=block&blockid={escaped}")).payload(Payload::Piece {
                id,
                from,
                to,
                form: Form::Length,
            });
        if !step(client, "v2 block", slot, &put).await.succeeded() {
            return false;
        }
    }
    let text = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{list}</BlockList>");
    let put = Asking::new(Method::PUT, format!("{url}&comp=blocklist")).text(text);
    step(client, "v2 list", slot, &put).await.succeeded()
}

/// Restores any entry.
pub(crate) async fn restore(client: &mut Client) {
    let slot = slot(client);
    let server = client.server();
    look(&client.world, &slot, server, false).await;
}

/// Looks an entry up and downloads it; false if there was no usable answer.
pub(crate) async fn look(world: &World, slot: &Slot, server: usize, settled: bool) -> bool {
    let begin = world.history.now();
    let note = |seen: Option<u64>, why: &str| {
        let details = json!({"server": server, "tenant": slot.tenant, "key": slot.key, "id": seen, "why": why, "begin": begin});
        world.report.note(world.history.now(), "restore", details);
        world.report.count(format!("restore {why}"));
    };
    let saw = |seen| {
        let end = world.history.now();
        world.history.saw(
            slot,
            Sight {
                server,
                begin,
                end,
                seen,
                settled,
            },
        );
    };
    let link = match find(world, slot, server).await {
        Ok(Some(link)) => link,
        Ok(None) => {
            note(None, "miss");
            saw(None);
            return true;
        }
        Err(why) => {
            note(None, &why);
            return false;
        }
    };
    match Asking::new(Method::GET, link).send(world.address(server)).await {
        Outcome::Answer(answer) if answer.status == StatusCode::NOT_FOUND => {
            note(None, "gone");
            saw(None);
            true
        }
        Outcome::Answer(answer) if answer.status == StatusCode::OK => {
            let seen = client::whose(world, slot, 0, &answer, None, server);
            note(seen, if answer.cut.is_some() { "cut" } else { "hit" });
            if answer.cut.is_none() && seen.is_some() {
                saw(seen);
            }
            answer.cut.is_none()
        }
        _ => {
            note(None, "failed");
            false
        }
    }
}

/// The link to an entry; nothing if a look-up does not find it.
async fn find(world: &World, slot: &Slot, server: usize) -> Result<Option<String>, String> {
    let asking = match is_first(slot) {
        true => {
            let path = format!("/_apis/artifactcache/cache?keys={}&version={VERSION}", slot.key);
            authorized(world, slot.tenant, Method::GET, path)
        }
        false => {
            let body = json!({"key": slot.key, "restore_keys": [], "version": VERSION});
            call(world, slot.tenant, "GetCacheEntryDownloadURL", &body)
        }
    };
    let Outcome::Answer(answer) = asking.send(world.address(server)).await else {
        return Err("broken".into());
    };
    let found = answer.json();
    let (link, key) = match is_first(slot) {
        true => (&found["archiveLocation"], &found["cacheKey"]),
        false => (&found["signed_download_url"], &found["matched_key"]),
    };
    match answer.status.as_u16() {
        204 => Ok(None),
        200 if !is_first(slot) && found["ok"] == false => Ok(None),
        // A key is also a prefix, so a longer one may be found.
        200 if key.as_str() != Some(&slot.key) => Ok(None),
        200 => link
            .as_str()
            .and_then(target)
            .map(Some)
            .ok_or_else(|| "no link".into()),
        status => Err(status.to_string()),
    }
}

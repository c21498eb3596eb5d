//! Clients that read, write and delete plain keys at random.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use crate::actions;
use crate::body::{self, Found, MIN_BYTES};
use crate::history::{Fate, Sight, Slot};
use crate::http::{Answer, Asking, Form, Outcome, Pace, Payload};
use crate::rng::Rng;
use crate::world::{MAX_BODY_BYTES, TENANTS, World};

/// Keys that are overwritten all the time, and keys that fill the disk.
const HOT_KEYS: u64 = 4;
const KEYS: u64 = 60;
const UNSENT_PAUSE: Duration = Duration::from_millis(30);

/// One client; several run at once.
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) rng: Rng,
    pub(crate) name: u64,
}

impl Client {
    /// Works until it is told to stop.
    pub(crate) async fn work(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let slot = self.slot();
            let server = self.server();
            match self.rng.below(100) {
                31..37 if self.world.narrow => self.delete(&slot, server).await,
                0..30 => self.get(&slot, server).await,
                30..37 => self.range(&slot, server).await,
                37..41 => self.head(&slot, server).await,
                41..66 => self.put(&slot, server).await,
                66..71 => self.delete(&slot, server).await,
                71..73 => self.stall(&slot, server).await,
                73..90 => actions::save(&mut self).await,
                _ => actions::restore(&mut self).await,
            }
        }
    }

    fn slot(&mut self) -> Slot {
        let key = match self.world.narrow || self.rng.chance(60) {
            true => format!("hot-{}", self.rng.below(HOT_KEYS)),
            false => format!("key-{}", self.rng.below(KEYS)),
        };
        Slot {
            tenant: self.tenant(),
            key,
            actions: false,
        }
    }

    pub(crate) fn tenant(&mut self) -> usize {
        self.rng.below(TENANTS as u64) as usize
    }

    pub(crate) fn server(&mut self) -> usize {
        self.rng.below(self.world.servers.len() as u64) as usize
    }

    /// Many small bodies, few large ones, some empty.
    pub(crate) fn size(&mut self) -> u64 {
        if self.world.narrow {
            return self.rng.spread(MIN_BYTES, 30_000);
        }
        match self.rng.below(100) {
            0..4 => 0,
            4..40 => self.rng.between(MIN_BYTES, 5000),
            40..93 => self.rng.spread(1000, 2_000_000),
            _ => self.rng.spread(2_000_000, MAX_BODY_BYTES),
        }
    }

    async fn get(&mut self, slot: &Slot, server: usize) {
        look(&self.world, slot, server, false).await;
    }

    async fn range(&mut self, slot: &Slot, server: usize) {
        let from = self.rng.spread(1, 1_000_000) - 1;
        let to = from + self.rng.spread(1, 300_000);
        let range = if self.rng.chance(15) {
            format!("bytes=-{to}")
        } else {
            format!("bytes={from}-{to}")
        };
        let asking = asking(&self.world, Method::GET, slot).header("range", range.clone());
        let begin = self.world.history.now();
        let outcome = asking.send(self.world.servers[server].address).await;
        if let Outcome::Answer(answer) = &outcome
            && answer.status == StatusCode::PARTIAL_CONTENT
        {
            let sight = |seen| Sight {
                server,
                begin,
                end: self.world.history.now(),
                seen,
                settled: false,
            };
            let header = answer.header("content-range").unwrap_or_default();
            let numbers: Vec<u64> = header
                .trim_start_matches("bytes ")
                .split(['-', '/'])
                .filter_map(|number| number.parse().ok())
                .collect();
            let [first, _, total] = numbers[..] else {
                self.world
                    .report
                    .fault(format!("answer: {range}: content-range is {header:?}"));
                return;
            };
            if let Some(id) = whose(&self.world, slot, first, answer, Some(total), server) {
                self.world.history.saw(slot, sight(Some(id)));
            }
        }
        self.told(
            "range",
            slot,
            server,
            &outcome,
            json!({"range": range, "begin": begin}),
        );
    }

    async fn head(&mut self, slot: &Slot, server: usize) {
        let begin = self.world.history.now();
        let outcome = asking(&self.world, Method::HEAD, slot)
            .send(self.world.servers[server].address)
            .await;
        if let Outcome::Answer(answer) = &outcome
            && answer.status == StatusCode::OK
            && let Some(id) = answer
                .header("etag")
                .and_then(|etag| self.world.etags.write_of(slot, etag))
        {
            let end = self.world.history.now();
            self.world.history.saw(
                slot,
                Sight {
                    server,
                    begin,
                    end,
                    seen: Some(id),
                    settled: false,
                },
            );
        }
        self.told("head", slot, server, &outcome, json!({"begin": begin}));
    }

    async fn put(&mut self, slot: &Slot, server: usize) {
        let len = self.size();
        self.put_bytes(slot, server, len).await;
    }

    async fn put_bytes(&mut self, slot: &Slot, server: usize, len: u64) {
        let form = match self.rng.below(100) {
            0..45 => Form::Length,
            45..88 => Form::Chunked,
            _ if len == 0 => Form::Length,
            88..94 => Form::Abort(self.rng.below(len)),
            _ => Form::AbortChunked(self.rng.below(len)),
        };
        let id = self.world.history.begin(slot, server, Some(len));
        let mut asking = asking(&self.world, Method::PUT, slot).payload(Payload::Piece {
            id,
            from: 0,
            to: len,
            form,
        });
        let condition = match self.rng.below(100) {
            0..12 => Some(("if-none-match", "*".to_owned())),
            12..22 => self.world.etags.last(slot).map(|etag| ("if-match", etag)),
            _ => None,
        };
        if let Some((name, value)) = &condition {
            asking = asking.header(name, value);
        }
        let begin = self.world.history.now();
        let outcome = asking.send(self.world.servers[server].address).await;
        let fate = match form {
            Form::Abort(_) | Form::AbortChunked(_) => Fate::Incomplete,
            Form::Length | Form::Chunked => fate(&outcome),
        };
        self.world.history.finish(slot, id, fate);
        if let (Outcome::Answer(answer), Fate::Incomplete) = (&outcome, fate)
            && answer.status.is_success()
        {
            self.world.report.fault(format!(
                "incomplete: {slot:?}: a body that ended early was answered {}",
                answer.status
            ));
        }
        let more = json!({"id": id, "len": len, "form": format!("{form:?}"), "condition": condition, "begin": begin});
        self.told("put", slot, server, &outcome, more);
        self.rest(&outcome).await;
    }

    async fn delete(&mut self, slot: &Slot, server: usize) {
        let id = self.world.history.begin(slot, server, None);
        let begin = self.world.history.now();
        let outcome = asking(&self.world, Method::DELETE, slot)
            .send(self.world.servers[server].address)
            .await;
        // A delete of what is not there is answered 404.
        let fate = match &outcome {
            Outcome::Answer(answer) if answer.status == StatusCode::NOT_FOUND => Fate::Done,
            _ => fate(&outcome),
        };
        self.world.history.finish(slot, id, fate);
        self.told(
            "delete",
            slot,
            server,
            &outcome,
            json!({"id": id, "begin": begin}),
        );
    }

    /// A client that stops reading: what it has open may be overwritten meanwhile. Large, because sockets take
    /// some MB.
    async fn stall(&mut self, slot: &Slot, server: usize) {
        if !self.world.narrow {
            let len = self.rng.between(MAX_BODY_BYTES / 4, MAX_BODY_BYTES);
            self.put_bytes(slot, server, len).await;
        }
        let mut asking = asking(&self.world, Method::GET, slot);
        asking.pace = Pace::Stall(Duration::from_millis(self.rng.between(200, 6000)));
        let world = self.world.clone();
        let address = world.servers[server].address;
        // It does not keep this client from its work.
        drop(tokio::spawn(async move { asking.send(address).await }));
    }

    pub(crate) fn told(
        &self,
        what: &str,
        slot: &Slot,
        server: usize,
        outcome: &Outcome,
        more: serde_json::Value,
    ) {
        told(&self.world, self.name, what, slot, server, outcome, more);
    }

    pub(crate) async fn rest(&self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Unsent) {
            tokio::time::sleep(UNSENT_PAUSE).await;
        }
    }
}

fn told(
    world: &World,
    client: u64,
    what: &str,
    slot: &Slot,
    server: usize,
    outcome: &Outcome,
    more: serde_json::Value,
) {
    let short = match outcome {
        Outcome::Unsent => "unsent".to_owned(),
        Outcome::Broken(_) => "broken".to_owned(),
        Outcome::Answer(answer) if answer.cut.is_some() => format!("{} cut", answer.status.as_u16()),
        Outcome::Answer(answer) => answer.status.as_u16().to_string(),
    };
    world.report.count(format!("{what} {short}"));
    let mut details = json!({
        "client": client, "server": server, "tenant": slot.tenant, "key": slot.key, "outcome": short,
    });
    if let Outcome::Answer(answer) = outcome
        && answer.status == StatusCode::INTERNAL_SERVER_ERROR
    {
        world.report.fault(format!(
            "status: {what} of {slot:?}, server {server}: 500 {}",
            String::from_utf8_lossy(&answer.body)
        ));
    }
    if let Outcome::Broken(why) = outcome {
        details["why"] = why.as_str().into();
    }
    if let (Some(details), serde_json::Value::Object(more)) = (details.as_object_mut(), more) {
        details.extend(more);
    }
    world.report.note(world.history.now(), what, details);
}

/// What a client may conclude from an answer to a write.
pub(crate) fn fate(outcome: &Outcome) -> Fate {
    match outcome {
        Outcome::Unsent => Fate::Refused,
        Outcome::Broken(_) => Fate::Unknown,
        Outcome::Answer(answer) if answer.status.is_success() => Fate::Done,
        Outcome::Answer(answer) if answer.status.is_server_error() => Fate::Unknown,
        Outcome::Answer(_) => Fate::Refused,
    }
}

pub(crate) fn authorized(world: &World, tenant: usize, method: Method, target: impl Into<String>) -> Asking {
    Asking::new(method, target).header("authorization", format!("Bearer {}", world.tokens[tenant]))
}

fn asking(world: &World, method: Method, slot: &Slot) -> Asking {
    authorized(world, slot.tenant, method, format!("/{}", slot.key))
}

/// Reads a plain key whole; what was seen goes into the history. False if there was no usable answer.
pub(crate) async fn look(world: &World, slot: &Slot, server: usize, settled: bool) -> bool {
    let begin = world.history.now();
    let outcome = asking(world, Method::GET, slot).send(world.address(server)).await;
    let sight = |seen| Sight {
        server,
        begin,
        end: world.history.now(),
        seen,
        settled,
    };
    let mut seen = None;
    let usable = match &outcome {
        Outcome::Answer(answer) if answer.status == StatusCode::NOT_FOUND => {
            world.history.saw(slot, sight(None));
            true
        }
        Outcome::Answer(answer) if answer.status == StatusCode::OK => {
            seen = whose(world, slot, 0, answer, None, server);
            if answer.cut.is_none()
                && let Some(id) = seen
            {
                world.history.saw(slot, sight(Some(id)));
                // Empty bodies share their tag.
                if let Some(etag) = answer.header("etag").filter(|_| !answer.body.is_empty()) {
                    world.etags.learn(slot, etag, id);
                }
            }
            answer.cut.is_none()
        }
        _ => false,
    };
    told(
        world,
        0,
        if settled { "look" } else { "get" },
        slot,
        server,
        &outcome,
        json!({"id": seen, "begin": begin}),
    );
    usable
}

/// The write whose bytes were served, if that can be told. Notes what must not be.
pub(crate) fn whose(
    world: &World,
    slot: &Slot,
    offset: u64,
    answer: &Answer,
    total: Option<u64>,
    server: usize,
) -> Option<u64> {
    let place = format!(
        "server {server}, tenant {}, {}, at {}",
        slot.tenant,
        slot.key,
        world.history.now()
    );
    let id = match body::identify(offset, &answer.body) {
        Found::Write(id) => id,
        Found::Unsure => return unsure(world, slot, offset, answer),
        Found::Torn(how) => {
            world.report.fault(format!("torn: {place}: {how}"));
            return None;
        }
    };
    let Some((owner, len)) = world.history.write(id) else {
        world.report.fault(format!(
            "torn: {place}: the bytes name write {id}, which nobody made"
        ));
        return None;
    };
    if owner != *slot {
        world
            .report
            .fault(format!("foreign: {place}: write {id} belongs to {owner:?}"));
    }
    let said = total.unwrap_or(answer.body.len() as u64);
    if said != len && answer.cut.is_none() {
        world.report.fault(format!(
            "torn: {place}: write {id} has {len} bytes, the answer {said}"
        ));
    }
    Some(id)
}

/// Short pieces fit to few writes; the only one that fits is it.
fn unsure(world: &World, slot: &Slot, offset: u64, answer: &Answer) -> Option<u64> {
    let whole = answer.status == StatusCode::OK;
    let len = answer.body.len() as u64;
    if answer.cut.is_some() {
        return None;
    }
    let fits = |write: &crate::history::Mutation| {
        let has = write.len.is_some_and(|total| {
            if whole {
                total == len
            } else {
                total >= offset + len
            }
        });
        has && body::first_difference(write.id, offset, &answer.body).is_none()
    };
    let writes = world.history.writes(slot);
    let mut fitting = writes.iter().filter(|write| fits(write));
    let Some(first) = fitting.next() else {
        world.report.fault(format!(
            "torn: tenant {}, {}: {len} bytes at {offset} of no write",
            slot.tenant, slot.key
        ));
        return None;
    };
    fitting.next().is_none().then_some(first.id)
}

//! Clients of a crowd: they take what they can get, and leave things half done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::actions::{self, VERSION};
use crate::client::authorized;
use crate::crowd::{Crowd, FIRST};
use crate::http::{Asking, Form, Outcome, Payload};
use crate::rng::Rng;
use crate::world::World;

pub(crate) const FLOODERS: u64 = 24;
const MAX_BYTES: u64 = 8_000_000;
const KEYS: u64 = 2000;
const TINY_KEYS: u64 = 20;
const LOOK_UPS: usize = 40;
const MAX_BLOCKS: u64 = 4;
const MAX_STALL_MILLIS: u64 = 3000;
const PAUSE: Duration = Duration::from_millis(30);
/// Nobody looks at what these bodies say.
const ID: u64 = 1 << 41;

/// One client of the crowd, which is another tenant with every step.
pub(crate) struct Flooder {
    pub(crate) world: Arc<World>,
    pub(crate) rng: Rng,
    pub(crate) crowd: Crowd,
}

impl Flooder {
    /// Works until it is told to stop.
    pub(crate) async fn work(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let tenant = FIRST + self.rng.below(self.crowd.tenants() as u64) as usize;
            match self.rng.below(100) {
                0..40 => self.put(tenant).await,
                40..52 => self.abandon(tenant).await,
                52..62 => self.stall(tenant).await,
                62..72 => self.first_generation(tenant).await,
                72..82 => self.second_generation(tenant).await,
                82..90 => self.tiny(tenant).await,
                _ => self.look_up(tenant).await,
            }
        }
    }

    fn size(&mut self) -> u64 {
        self.rng.spread(1000, MAX_BYTES)
    }

    async fn send(&mut self, what: &str, asking: &Asking) -> Outcome {
        let server = self.rng.below(self.world.servers.len() as u64) as usize;
        let outcome = asking.send(self.world.address(server)).await;
        let report = &self.world.report;
        match &outcome {
            Outcome::Answer(answer) => {
                report.count(format!("flood {what} {}", answer.status.as_u16()));
                if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
                    report.fault(format!(
                        "status: flood {what}: 500 {}",
                        String::from_utf8_lossy(&answer.body)
                    ));
                }
            }
            Outcome::Broken(_) => report.count(format!("flood {what} broken")),
            Outcome::Unsent => tokio::time::sleep(PAUSE).await,
        }
        outcome
    }

    fn body(&mut self, len: u64, form: Form) -> Payload {
        Payload::Piece {
            id: ID + self.rng.below(1000),
            from: 0,
            to: len,
            form,
        }
    }

    fn key(&mut self) -> String {
        format!("/flood-{}", self.rng.below(KEYS))
    }

    async fn put(&mut self, tenant: usize) {
        let (key, len) = (self.key(), self.size());
        let form = if self.rng.chance(50) {
            Form::Length
        } else {
            Form::Chunked
        };
        let body = self.body(len, form);
        let asking = authorized(&self.world, tenant, Method::PUT, key).payload(body);
        self.send("put", &asking).await;
    }

    async fn abandon(&mut self, tenant: usize) {
        let (key, len) = (self.key(), self.size());
        let sent = self.rng.below(len);
        let form = if self.rng.chance(50) {
            Form::Abort(sent)
        } else {
            Form::AbortChunked(sent)
        };
        let body = self.body(len, form);
        let asking = authorized(&self.world, tenant, Method::PUT, key).payload(body);
        self.send("abandon", &asking).await;
    }

    /// An upload that begins and then says nothing more for a while.
    async fn stall(&mut self, tenant: usize) {
        let (key, len) = (self.key(), self.size());
        let length = if self.rng.chance(70) {
            format!("content-length: {len}\r\n\r\n")
        } else {
            format!("transfer-encoding: chunked\r\n\r\n{len:x}\r\n")
        };
        let mut sent = format!(
            "PUT {key} HTTP/1.1\r\nhost: cache\r\nauthorization: Bearer {}\r\n{length}",
            self.world.tokens[tenant]
        )
        .into_bytes();
        sent.resize(sent.len() + self.rng.below(len.min(300_000)) as usize, b'x');
        let pause = Duration::from_millis(self.rng.spread(50, MAX_STALL_MILLIS));
        let server = self.rng.below(self.world.servers.len() as u64) as usize;
        let Ok(mut stream) = tokio::net::TcpStream::connect(self.world.address(server)).await else {
            return tokio::time::sleep(PAUSE).await;
        };
        // The server may refuse it, or be killed.
        let written = tokio::time::timeout(pause, stream.write_all(&sent)).await;
        if matches!(written, Ok(Ok(()))) {
            self.world.report.count("flood stall");
            tokio::time::sleep(pause).await;
        }
    }

    /// Reserves an entry and sends some blocks. Few are committed.
    async fn first_generation(&mut self, tenant: usize) {
        let path = "/_apis/artifactcache/caches";
        let text = json!({"key": self.key(), "version": VERSION}).to_string();
        let reserve = authorized(&self.world, tenant, Method::POST, path).text(text);
        let Outcome::Answer(answer) = self.send("v1 reserve", &reserve).await else {
            return;
        };
        let Some(number) = answer.json()["cacheId"].as_u64() else {
            return;
        };
        let path = format!("{path}/{number}");
        let mut at = 0;
        for _ in 0..self.rng.below(MAX_BLOCKS) {
            let to = at + self.rng.spread(1000, MAX_BYTES / 4);
            let patch = authorized(&self.world, tenant, Method::PATCH, &path)
                .header("content-range", format!("bytes {at}-{}/*", to - 1))
                .payload(Payload::Piece {
                    id: ID,
                    from: at,
                    to,
                    form: Form::Length,
                });
            self.send("v1 patch", &patch).await;
            at = to;
        }
        if at > 0 && self.rng.chance(30) {
            let commit =
                authorized(&self.world, tenant, Method::POST, &path).text(json!({"size": at}).to_string());
            self.send("v1 commit", &commit).await;
        }
    }

    /// The same with links.
    async fn second_generation(&mut self, tenant: usize) {
        let body = json!({"key": self.key(), "version": VERSION});
        let create = actions::call(&self.world, tenant, "CreateCacheEntry", &body);
        let Outcome::Answer(answer) = self.send("v2 create", &create).await else {
            return;
        };
        let Some(url) = answer.json()["signed_upload_url"]
            .as_str()
            .and_then(actions::target)
        else {
            return;
        };
        for nth in 0..self.rng.below(MAX_BLOCKS) {
            let len = self.rng.spread(1000, MAX_BYTES / 4);
            let body = self.body(len, Form::Length);
            // Four letters are three bytes in base64.
            let put = Asking::new(Method::PUT, format!("{url}&comp=block&blockid=AAA{nth}")).payload(body);
            self.send("v2 block", &put).await;
        }
    }

    async fn tiny(&mut self, tenant: usize) {
        for _ in 0..self.rng.below(TINY_KEYS) {
            let key = format!("/tiny-{}", self.rng.next());
            let asking = authorized(&self.world, tenant, Method::PUT, key).text("x");
            self.send("tiny", &asking).await;
        }
    }

    async fn look_up(&mut self, tenant: usize) {
        let keys: Vec<String> = (0..LOOK_UPS).map(|_| self.key()[1..].to_owned()).collect();
        let path = format!(
            "/_apis/artifactcache/cache?keys={}&version={VERSION}",
            keys.join(",")
        );
        let asking = authorized(&self.world, tenant, Method::GET, path);
        self.send("look up", &asking).await;
        for key in keys.iter().take(4) {
            let asking = authorized(&self.world, tenant, Method::GET, format!("/{key}"));
            self.send("get", &asking).await;
        }
    }
}

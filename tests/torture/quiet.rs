//! A tenant within its share: it loses nothing and is never refused, whatever others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;

use crate::body;
use crate::client::authorized;
use crate::crowd::{Crowd, QUIET};
use crate::http::{Answer, Asking, Form, Outcome, Payload};
use crate::rng::Rng;
use crate::world::{DISK_LIMIT, World};

const ENTRIES: u64 = 8;
/// Its bodies have numbers that no write of the history has.
const FIRST_ID: u64 = 1 << 40;
/// What a file takes besides its body, rounded up to a block.
const OVERHEAD_BYTES: u64 = 5000;
const PAUSE: Duration = Duration::from_millis(4);
const UNSENT_PAUSE: Duration = Duration::from_millis(30);
/// Looks at an entry at rest before it counts as unusable.
const TRIES: usize = 20;

/// One of its entries, as far as it knows.
#[derive(Debug, Default)]
struct Known {
    /// The bodies that it may hold: number and length.
    bodies: Vec<(u64, u64)>,
    /// Whether it must be there.
    is_there: bool,
    /// Losses of power before it was written.
    losses: u64,
}

/// The tenant. All its requests go to the first server.
pub(crate) struct Quiet {
    world: Arc<World>,
    rng: Rng,
    max_body: u64,
    next_id: u64,
    entries: Vec<Known>,
    gets: Vec<u64>,
    puts: Vec<u64>,
}

impl Quiet {
    pub(crate) fn new(world: Arc<World>, rng: Rng, crowd: Crowd) -> Self {
        let each = crowd.quiet_bytes(DISK_LIMIT) / ENTRIES;
        Self {
            world,
            rng,
            max_body: each.saturating_sub(OVERHEAD_BYTES),
            next_id: FIRST_ID,
            entries: (0..ENTRIES).map(|_| Known::default()).collect(),
            gets: Vec::new(),
            puts: Vec::new(),
        }
    }

    /// Works until it is told to stop; then tells how long it waited.
    pub(crate) async fn work(mut self, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let nth = self.rng.below(ENTRIES) as usize;
            match self.entries[nth].is_there && self.rng.chance(80) {
                true => drop(self.get(nth, "in the flood").await),
                false => self.put(nth).await,
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.tell();
        self
    }

    /// Reads everything that must be there.
    pub(crate) async fn look(&mut self, when: &str) {
        for nth in 0..self.entries.len() {
            let mut tries = 0;
            while self.entries[nth].is_there && !self.get(nth, when).await {
                tries += 1;
                if tries == TRIES {
                    self.fault(&format!("quiet: no usable answer for entry {nth} {when}"));
                    break;
                }
            }
        }
    }

    fn asking(&self, method: Method, nth: usize) -> Asking {
        authorized(&self.world, QUIET, method, format!("/quiet-{nth}"))
    }

    /// One request, how long it took, and whether the answer came from a server that was there all the time.
    async fn send(&self, asking: &Asking) -> (Outcome, u64) {
        let begin = Instant::now();
        let outcome = asking.send(self.world.address(0)).await;
        if matches!(outcome, Outcome::Unsent) {
            tokio::time::sleep(UNSENT_PAUSE).await;
        }
        (outcome, begin.elapsed().as_micros() as u64)
    }

    /// False if there was no usable answer.
    async fn get(&mut self, nth: usize, when: &str) -> bool {
        let (outcome, micros) = self.send(&self.asking(Method::GET, nth)).await;
        let Outcome::Answer(answer) = outcome else {
            return false;
        };
        self.note("get", nth, &answer);
        match answer.status {
            StatusCode::OK if answer.cut.is_none() => {
                self.gets.push(micros);
                self.check(nth, &answer);
                true
            }
            StatusCode::NOT_FOUND => {
                let known = &self.entries[nth];
                if known.losses == self.world.losses() {
                    let bodies = format!("{:?}", known.bodies);
                    let held: u64 = self
                        .entries
                        .iter()
                        .flat_map(|known| known.bodies.last())
                        .map(|body| body.1)
                        .sum();
                    self.fault(&format!(
                        "evicted: {when}: entry {nth} {bodies} of the quiet tenant, which holds {held} bytes"
                    ));
                }
                self.entries[nth] = Known::default();
                true
            }
            StatusCode::OK => false,
            status => {
                self.fault(&format!("refused: {when}: a read of the quiet tenant: {status}"));
                false
            }
        }
    }

    fn check(&self, nth: usize, answer: &Answer) {
        let fits = |(id, len): &(u64, u64)| {
            *len == answer.body.len() as u64 && body::first_difference(*id, 0, &answer.body).is_none()
        };
        if !self.entries[nth].bodies.iter().any(fits) {
            let found = body::identify(0, &answer.body);
            self.fault(&format!("torn: entry {nth} of the quiet tenant: {found:?}"));
        }
    }

    async fn put(&mut self, nth: usize) {
        let id = self.next_id;
        self.next_id += 1;
        let len = self.rng.spread(self.max_body / 8, self.max_body);
        let form = if self.rng.chance(50) {
            Form::Length
        } else {
            Form::Chunked
        };
        let payload = Payload::Piece {
            id,
            from: 0,
            to: len,
            form,
        };
        let losses = self.world.losses();
        let (outcome, micros) = self.send(&self.asking(Method::PUT, nth).payload(payload)).await;
        let known = &mut self.entries[nth];
        match &outcome {
            Outcome::Unsent => {}
            Outcome::Answer(answer) if answer.status.is_success() => {
                *known = Known {
                    bodies: vec![(id, len)],
                    is_there: true,
                    losses,
                };
                self.puts.push(micros);
                self.note("put", nth, answer);
            }
            Outcome::Broken(_) => known.bodies.push((id, len)),
            Outcome::Answer(answer) => {
                known.bodies.push((id, len));
                self.note("put", nth, answer);
                let (status, text) = (answer.status, String::from_utf8_lossy(&answer.body));
                self.fault(&format!(
                    "refused: a write of {len} bytes by the quiet tenant: {status} {text}"
                ));
            }
        }
    }

    fn note(&self, what: &str, nth: usize, answer: &Answer) {
        let status = answer.status.as_u16();
        self.world.report.count(format!("quiet {what} {status}"));
        let details = json!({"entry": nth, "status": status});
        self.world.report.note(self.world.history.now(), what, details);
    }

    fn fault(&self, text: &str) {
        self.world
            .report
            .fault(format!("{text}, at {}", self.world.history.now()));
    }

    fn tell(&mut self) {
        let at = |list: &mut Vec<u64>, percent: usize| {
            list.sort_unstable();
            let at = (list.len() * percent / 100).min(list.len().saturating_sub(1));
            list.get(at).copied().unwrap_or_default()
        };
        let report = &self.world.report;
        report.figure("quiet get p50, us", at(&mut self.gets, 50));
        report.figure("quiet get p99, us", at(&mut self.gets, 99));
        report.figure("quiet put p50, us", at(&mut self.puts, 50));
        report.figure("quiet put p99, us", at(&mut self.puts, 99));
    }
}

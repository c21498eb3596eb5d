//! What is done to servers, their files and their bucket while clients work.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::damage;
use crate::inspect;
use crate::outage::{OUTAGES, Outage};
use crate::plan::Tiers;
use crate::process::{Server, Started};
use crate::rng::Rng;
use crate::world::{DISK_LIMIT, World};

/// Calls before which the stepper may kill; a second of work is some hundreds.
const MAX_CALLS: u64 = 1500;
/// The same beside a crowd.
const MAX_CALLS_IN_A_CROWD: u64 = 20_000;
/// The server's own bound for files that are unlinked but open: 5 % of the limit.
const UNLINKED_BYTES: u64 = DISK_LIMIT / 20;
/// Starts that the stepper may kill one after the other.
const STARTS: usize = 20;

/// All faults by their names, for `TORTURE_WITHOUT`, and how often each comes.
const FAULTS: [(&str, u64); 11] = [
    ("look", 30),
    ("kill", 12),
    ("step", 14),
    ("power", 8),
    ("term", 6),
    ("stop", 6),
    ("away", 10),
    ("refuse", 6),
    ("slow", 6),
    ("lose", 8),
    ("throttle", 6),
];

/// The same beside a crowd, which needs some time to fill a disk.
const FAULTS_IN_A_CROWD: [(&str, u64); 4] = [("look", 90), ("kill", 3), ("step", 4), ("power", 3)];

/// Does one thing after another until the time is over.
pub(crate) struct Tormentor {
    world: Arc<World>,
    rng: Rng,
    stepper: Option<PathBuf>,
    without: Vec<String>,
    outage: Option<Outage>,
    /// Whether there was an outage in this round.
    has_been_away: bool,
}

impl Tormentor {
    pub(crate) fn new(world: Arc<World>, rng: Rng, stepper: Option<PathBuf>, without: Vec<String>) -> Self {
        Self {
            world,
            rng,
            stepper,
            without,
            outage: None,
            has_been_away: false,
        }
    }

    pub(crate) async fn work(&mut self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            let pause = self.rng.spread(20, 900);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if self.outage.as_ref().is_some_and(Outage::is_over) {
                self.end_outage();
            }
            self.revive().await;
            let fault = self.pick();
            let server = self.rng.pick(&self.world.servers).clone();
            self.act(fault, &server).await;
        }
        self.end_outage();
    }

    fn has_crowd(&self) -> bool {
        self.world.mode.crowd.is_some()
    }

    fn pick(&mut self) -> &'static str {
        let usable = |name: &str| {
            let fits = !OUTAGES.contains(&name) || self.world.bucket.is_some() && self.outage.is_none();
            fits && !self.without.iter().any(|other| other == name)
                && (name != "step" || self.stepper.is_some())
                && (name != "power" || !self.world.durable)
        };
        let all: &[(&str, u64)] = if self.has_crowd() {
            &FAULTS_IN_A_CROWD
        } else {
            &FAULTS
        };
        let usable: Vec<_> = all.iter().filter(|(name, _)| usable(name)).collect();
        let total: u64 = usable.iter().map(|(_, weight)| weight).sum();
        let mut at = self.rng.below(total.max(1));
        for (name, weight) in usable {
            if at < *weight {
                return name;
            }
            at -= weight;
        }
        "look"
    }

    async fn act(&mut self, fault: &'static str, server: &Arc<Server>) {
        if OUTAGES.contains(&fault) {
            return self.begin_outage(fault).await;
        }
        self.note(fault, json!({"server": server.index}));
        match fault {
            "look" => {
                check_queue(&self.world, server).await;
                measure(&self.world, server);
            }
            "kill" | "step" | "power" | "term" => self.end(fault, server).await,
            _ => {
                server.signal(Signal::STOP);
                tokio::time::sleep(Duration::from_millis(self.rng.spread(50, 2500))).await;
                server.signal(Signal::CONT);
            }
        }
    }

    fn note(&self, what: &str, details: serde_json::Value) {
        self.world.report.note(self.world.history.now(), what, details);
        self.world.report.count(format!("[{what}]"));
    }

    /// Ends a server in one of the ways, and starts it again.
    async fn end(&mut self, fault: &str, server: &Arc<Server>) {
        let begin = self.world.history.now();
        match fault {
            "term" => {
                if let Err(why) = server.terminate().await {
                    self.world
                        .report
                        .fault(format!("stop: server {}: {why}", server.index));
                }
            }
            "power" => {
                self.world.lose_power();
                server.kill();
            }
            _ => server.kill(),
        }
        if fault == "power" {
            let done = damage::power_loss(&server.dir(), &mut self.rng);
            self.world
                .report
                .note(self.world.history.now(), "damaged", json!({"files": done}));
        }
        let step = fault == "step" || self.rng.chance(30) && !self.has_crowd();
        self.start(server, step).await;
        // What waits for its upload is nowhere else.
        let may_wait = self.world.mode.tiers == Tiers::Back || self.has_been_away;
        let forgets = fault == "power" && self.world.bucket.is_some() && may_wait;
        let now = self.world.history.now();
        if forgets {
            *self.world.power_loss.lock().unwrap() = now;
        }
        self.world
            .history
            .mark(|marks, now| marks.troubles.push((begin, now)));
    }

    /// Starts again what the stepper has ended meanwhile, and complains about what ended by itself.
    async fn revive(&mut self) {
        for server in self.world.servers.clone() {
            let Some(status) = server.has_ended() else {
                continue;
            };
            let begin = self.world.history.now();
            if std::os::unix::process::ExitStatusExt::signal(&status) != Some(9) {
                let words = server.last_words();
                self.world.report.fault(format!(
                    "ended: server {} by itself: {status}: {words}",
                    server.index
                ));
            }
            let place = std::fs::read_to_string(server.home.join("stepper")).unwrap_or_default();
            self.note("stepped", json!({"server": server.index, "place": place.trim()}));
            let again = self.rng.chance(40) && !self.has_crowd();
            self.start(&server, again).await;
            self.world
                .history
                .mark(|marks, now| marks.troubles.push((begin, now)));
        }
    }

    /// Starts a server until it is ready; the stepper may kill starts, too.
    async fn start(&mut self, server: &Arc<Server>, mut step: bool) {
        if self.world.mode.tiers == Tiers::Bucket {
            // Without a disk a start needs the bucket.
            self.end_outage();
        }
        let most = if self.has_crowd() {
            MAX_CALLS_IN_A_CROWD
        } else {
            MAX_CALLS
        };
        for _ in 0..STARTS {
            // Some in the start itself, most in the work after it.
            let calls = if self.rng.chance(30) {
                self.rng.spread(1, 100)
            } else {
                self.rng.spread(40, most)
            };
            let stepper = self
                .stepper
                .as_ref()
                .filter(|_| step)
                .map(|program| (program, calls));
            let details = json!({"server": server.index, "calls": stepper.is_some().then_some(calls)});
            self.world.report.note(self.world.history.now(), "start", details);
            if start(&self.world, server, stepper).await {
                return;
            }
            step &= self.rng.chance(50);
        }
    }

    /// Begins an outage of the bucket, unless one is there; other faults go on meanwhile.
    async fn begin_outage(&mut self, name: &str) {
        let now = self.world.history.now();
        let Some(bucket) = self.world.bucket.clone().filter(|_| self.outage.is_none()) else {
            return;
        };
        self.note(name, json!({}));
        self.world.history.mark(|marks, _| marks.outages += 1);
        self.outage = Some(Outage::begin(bucket, name, now, &mut self.rng).await);
        self.has_been_away = true;
    }

    fn end_outage(&mut self) {
        if let Some(outage) = self.outage.take() {
            outage.end();
            let begin = outage.begin;
            self.world
                .history
                .mark(|marks, now| marks.troubles.push((begin, now)));
            self.note("outage ends", json!({}));
        }
    }
}

/// Starts a server; true if it is ready. What is wrong with the start is noted.
pub(crate) async fn start(world: &World, server: &Server, stepper: Option<(&PathBuf, u64)>) -> bool {
    match server.start(stepper).await {
        Started::Ready => {
            let index = server.index;
            world.history.mark(|marks, now| marks.ready.push((index, now)));
            true
        }
        Started::Killed => {
            let place = std::fs::read_to_string(server.home.join("stepper")).unwrap_or_default();
            world.report.note(
                world.history.now(),
                "start stepped",
                json!({"place": place.trim()}),
            );
            false
        }
        Started::Failed(why) => {
            world
                .report
                .fault(format!("start: server {}: {why}", server.index));
            server.kill();
            false
        }
    }
}

/// Holds a server still and measures what it takes.
pub(crate) fn measure(world: &World, server: &Server) {
    let Some(pid) = server.pid() else { return };
    server.signal(Signal::STOP);
    let taken = inspect::du(&server.dir());
    let unlinked = inspect::unlinked(pid, &server.dir());
    let held = inspect::held(pid);
    server.signal(Signal::CONT);
    world.report.figure("du", taken);
    world.report.figure("du and unlinked", taken + unlinked);
    world.report.figure("descriptors", held.descriptors as u64);
    world.report.figure("memory", held.peak_memory);
    let at = world.history.now();
    if taken > DISK_LIMIT {
        world.report.fault(format!(
            "bound: server {} at {at}: du {taken}, limit {DISK_LIMIT}",
            server.index
        ));
    }
    if taken + unlinked > DISK_LIMIT + UNLINKED_BYTES {
        let index = server.index;
        world.report.fault(format!(
            "unlinked: server {index} at {at}: du {taken}, {unlinked} unlinked and open, limit {DISK_LIMIT}"
        ));
    }
}

/// What waits for its upload has a bound of its own.
async fn check_queue(world: &World, server: &Server) {
    if world.bucket.is_none() {
        return;
    }
    // It may be killed meanwhile.
    let Some(page) = server.page("/metrics").await else {
        return;
    };
    let Some(waiting) = inspect::metric(&page, "chacha_upload_queue_bytes") else {
        return world
            .report
            .fault(format!("queue: server {} does not tell its bytes", server.index));
    };
    let waiting = waiting as u64;
    world.report.figure("bytes waiting", waiting);
    let limit = world.queue_limit();
    if waiting > limit {
        world.report.fault(format!(
            "queue: server {} at {}: {waiting} bytes wait, queue_limit is {limit}",
            server.index,
            world.history.now()
        ));
    }
}

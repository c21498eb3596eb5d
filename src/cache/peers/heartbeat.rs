//! Heartbeats: writing this server's name, listing those of the others, and greeting them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::claim::{ClaimKeeper, ServerNumber};
use super::clock::MAX_CLOCK_DELAY;
use super::name::{self, HEARTBEAT_PREFIX};
use super::{HELLO_PATH, Peer, PeerLink, Peers};
use crate::error::chain;
use crate::store::shared::{ListedObject, SharedObjects};
use crate::tasks::Tasks;

/// How often heartbeats are written, and how long they count.
#[derive(Debug, Clone, Copy)]
pub struct HeartbeatTiming {
    /// Between two heartbeats.
    pub period: Duration,
    /// A server without a heartbeat for this long is lost. Several periods.
    pub gone_after: Duration,
    /// A start waits this long to learn of the others.
    pub join_timeout: Duration,
}

impl HeartbeatTiming {
    /// Three heartbeats in a row may fail before a server counts as lost.
    pub fn every(period: Duration) -> Self {
        Self {
            period,
            gone_after: period * 7 / 2,
            join_timeout: Duration::from_secs(3),
        }
    }
}

/// Time between two refreshes that requests ask for.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// A request waits this long for a refresh.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a server that is greeted.
const HELLO_TIMEOUT: Duration = Duration::from_millis(500);
/// A condition that lasts is told again after this time.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Begins to beat; see [`Peers::join`].
pub(super) async fn start(
    shared: Arc<dyn SharedObjects>,
    number: ServerNumber,
    timing: HeartbeatTiming,
    tasks: &Tasks,
    (peers, link): (&Peers, &Arc<PeerLink>),
) {
    let mut heartbeat = Heartbeat {
        shared,
        timing,
        peers: peers.clone(),
        link: Arc::clone(link),
        claim: ClaimKeeper::new(number),
        name: None,
        warned: None,
    };
    peers.refresh.is_on.store(true, Ordering::Relaxed);
    let stopping = tasks.stopping();
    let (known, first) = tokio::sync::oneshot::channel::<()>();
    drop(tasks.spawn(async move {
        let mut known = Some(known);
        let mut beats = tokio::time::interval(timing.period);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut refreshes = tokio::time::interval(REFRESH_INTERVAL);
        refreshes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let refresh = Arc::clone(&heartbeat.peers.refresh);
        let asked = async |refreshes: &mut tokio::time::Interval| {
            refresh.asked.notified().await;
            refreshes.tick().await;
        };
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                _ = beats.tick() => heartbeat.beat().await,
                () = asked(&mut refreshes) => heartbeat.beat().await,
            }
            known.take();
        }
        heartbeat.leave().await;
    }));
    // The sender is dropped after the first beat.
    let _known = tokio::time::timeout(timing.join_timeout, first).await;
}

/// Refreshes that requests ask for between two heartbeats.
#[derive(Debug, Default)]
pub(super) struct PeerRefresh {
    /// A heartbeat task runs.
    is_on: AtomicBool,
    asked: Notify,
    begun: AtomicU64,
    ended: watch::Sender<u64>,
}

impl PeerRefresh {
    /// Waits for a refresh that begins after this call.
    pub(super) async fn wait(&self) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut ended = self.ended.subscribe();
        let wanted = self.begun.load(Ordering::Acquire) + 1;
        self.asked.notify_one();
        let over = ended.wait_for(|ended| *ended >= wanted);
        // After the limit the known servers stay.
        let _late = tokio::time::timeout(REFRESH_TIMEOUT, over).await;
    }
}

struct Heartbeat {
    shared: Arc<dyn SharedObjects>,
    timing: HeartbeatTiming,
    peers: Peers,
    link: Arc<PeerLink>,
    claim: ClaimKeeper,
    name: Option<SealedName>,
    /// When the warning about a number in use was given last.
    warned: Option<Instant>,
}

/// The name that this server shows now.
#[derive(Clone)]
struct SealedName {
    text: String,
    /// By the bucket's clock, as far as it was known.
    sealed: SystemTime,
    /// How often the key had changed.
    changes: usize,
}

impl Heartbeat {
    /// If the bucket cannot be asked, the known servers stay.
    async fn beat(&mut self) {
        let nth = self.peers.refresh.begun.fetch_add(1, Ordering::AcqRel) + 1;
        if let Err(error) = self.show_and_look().await {
            tracing::debug!("the other servers cannot be seen: {}", chain(&error));
        }
        self.peers.refresh.ended.send_replace(nth);
    }

    /// Writes the heartbeat. Returns its name.
    async fn show(&mut self) -> crate::store::Result<String> {
        let (name, former) = self.current_name();
        self.shared.put(&name, Bytes::new()).await?;
        if let Some(former) = former {
            self.shared.remove(&former).await?;
        }
        Ok(name)
    }

    async fn show_and_look(&mut self) -> crate::store::Result<()> {
        let began = Instant::now();
        let name = self.show().await?;
        let listed_from = Instant::now();
        let listed = self.shared.list(HEARTBEAT_PREFIX, None).await?;
        // The clock of the bucket, which just wrote our own name.
        let own = listed.iter().find(|one| one.name == name);
        // An answer that took long says little of the time now.
        let now = own.and_then(|one| one.written);
        if let Some(now) = now
            && began.elapsed() <= MAX_CLOCK_DELAY
        {
            self.link.clock.observe(now, began);
            if self.current().is_none() {
                // It was sealed by a clock that is far off.
                self.show().await?;
            }
        }
        self.update(&listed, now, listed_from).await;
        if !self.claim.renew(&*self.shared).await? {
            self.warn_of_twin("its claim is in the bucket");
        }
        Ok(())
    }

    /// The name, if it need not be sealed anew.
    fn current(&self) -> Option<&SealedName> {
        let now = self.link.clock.now();
        let holds = |name: &&SealedName| {
            let age = now
                .duration_since(name.sealed)
                .unwrap_or_else(|ahead| ahead.duration());
            name.changes == self.link.keys.changes() && age < name::NAME_PERIOD
        };
        self.name.as_ref().filter(holds)
    }

    /// The name to show, and the one that it takes the place of.
    fn current_name(&mut self) -> (String, Option<String>) {
        if let Some(name) = self.current() {
            return (name.text.clone(), None);
        }
        let sealed = self.link.clock.now();
        let text = name::write(&self.link.keys, &self.link.own, sealed);
        let fresh = SealedName {
            text: text.clone(),
            sealed,
            changes: self.link.keys.changes(),
        };
        (text, self.name.replace(fresh).map(|former| former.text))
    }

    async fn update(&mut self, listed: &[ListedObject], now: Option<SystemTime>, listed_from: Instant) {
        let mut found: Vec<(Peer, Option<SystemTime>)> = Vec::new();
        for one in listed {
            let age = age(one.written, now);
            if age > self.timing.gone_after * 100 {
                // Left by a crash. If this fails, another server removes it.
                let _gone = self.shared.remove(&one.name).await;
            }
            if age >= self.timing.gone_after {
                continue;
            }
            let Some(peer) = name::read(&self.link.keys, &one.name, self.link.clock.now()) else {
                self.warn_of_stranger(&one.name);
                continue;
            };
            match found.iter_mut().find(|(known, _)| known.id == peer.id) {
                _ if peer.id == self.peers.me && *peer.url == *self.link.own.url => {}
                _ if peer.id == self.peers.me => self.warn_of_twin(peer.url.as_str()),
                // A server that has moved: its last name counts.
                Some(known) if known.1 < one.written => *known = (peer, one.written),
                Some(_) => {}
                None => found.push((peer, one.written)),
            }
        }
        let others = found.into_iter().map(|(peer, _)| peer).collect();
        let new = self.peers.replace(others, listed_from);
        join_all(new.iter().map(|peer| self.greet(peer))).await;
    }

    /// Makes a server know this one at once. One that is not reached reads the heartbeat.
    async fn greet(&self, peer: &Peer) {
        let url = self.link.own.url.as_str().as_bytes();
        let greeting = self.link.post(peer, HELLO_PATH, url, Bytes::new());
        let cause = match tokio::time::timeout(HELLO_TIMEOUT, greeting).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(late) => late.to_string(),
        };
        tracing::debug!(url = %peer.url, cause, "another server was not greeted; it will see the heartbeat");
    }

    /// Whether a warning is due again.
    fn may_warn(&mut self) -> bool {
        let due = self.warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL);
        if due {
            self.warned = Some(Instant::now());
        }
        due
    }

    fn warn_of_stranger(&mut self, object: &str) {
        if self.may_warn() {
            tracing::warn!(
                object,
                "a heartbeat in the bucket was not sealed with the key of this server, which takes its writer for no \
                 peer: give all servers the same gha.signing_key_file and the same version, and remove what nobody \
                 writes"
            );
        }
    }

    fn warn_of_twin(&mut self, other: &str) {
        if !self.may_warn() {
            return;
        }
        tracing::warn!(
            number = self.peers.me.number(),
            other,
            "another server of this bucket has the same number, as after copying a directory: stop one of them, and \
             remove the files server/id and server/claim from its directory"
        );
    }

    async fn leave(&self) {
        let Some(name) = &self.name else {
            return;
        };
        let leaving = self.shared.remove(&name.text);
        // If that fails, the others miss the heartbeats.
        let _gone = tokio::time::timeout(self.timing.join_timeout, leaving).await;
    }
}

fn age(written: Option<SystemTime>, now: Option<SystemTime>) -> Duration {
    match (written, now) {
        (Some(written), Some(now)) => now.duration_since(written).unwrap_or_default(),
        // Without times every name counts: one attempt too many is better than none.
        _ => Duration::ZERO,
    }
}

//! Heartbeats: writing this server's name, and listing those of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use url::Url;

use super::name::{self, HEARTBEAT_PREFIX};
use super::{Peer, Peers};
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

/// Begins to beat; see [`Peers::join`].
pub(super) async fn start(
    shared: Arc<dyn SharedObjects>,
    url: Url,
    timing: HeartbeatTiming,
    tasks: &Tasks,
    peers: &Peers,
) {
    let heartbeat = Heartbeat {
        name: name::write(peers.me, &url),
        shared,
        timing,
        peers: peers.clone(),
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
        let asked = async |refreshes: &mut tokio::time::Interval| {
            heartbeat.peers.refresh.asked.notified().await;
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

/// Time between two refreshes that requests ask for.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// A request waits this long for a refresh.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);

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
    name: String,
    shared: Arc<dyn SharedObjects>,
    timing: HeartbeatTiming,
    peers: Peers,
}

impl Heartbeat {
    /// If the bucket cannot be asked, the known servers stay.
    async fn beat(&self) {
        let nth = self.peers.refresh.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let written = self.shared.put(&self.name, Bytes::new()).await;
        let listed = match written {
            Ok(()) => self.shared.list(HEARTBEAT_PREFIX, None).await,
            Err(error) => Err(error),
        };
        match listed {
            Ok(listed) => self.update(&listed).await,
            Err(error) => tracing::debug!("the other servers cannot be seen: {}", chain(&error)),
        }
        self.peers.refresh.ended.send_replace(nth);
    }

    async fn update(&self, listed: &[ListedObject]) {
        // The clock of the bucket, which just wrote our own name.
        let own = listed.iter().find(|one| one.name == self.name);
        let now = own.and_then(|one| one.written);
        let mut others = Vec::new();
        for one in listed.iter().filter(|one| one.name != self.name) {
            let Some(peer) = name::read(&one.name) else {
                continue;
            };
            if peer.id == self.peers.me {
                self.warn_of_twin(&peer);
            } else if age(one.written, now) < self.timing.gone_after {
                others.push(peer);
            } else if age(one.written, now) > self.timing.gone_after * 100 {
                // Left by a crash. If this fails, another server removes it.
                let _gone = self.shared.remove(&one.name).await;
            }
        }
        if **self.peers.others.load() != others {
            tracing::info!(others = others.len(), "the servers that share the bucket changed");
            self.peers.others.store(Arc::new(others));
        }
    }

    fn warn_of_twin(&self, peer: &Peer) {
        tracing::warn!(
            url = %peer.url,
            "another server of this bucket has the same number, as after copying a directory: \
             remove the file actions/server-id from the directory of one of them"
        );
    }

    async fn leave(&self) {
        let leaving = self.shared.remove(&self.name);
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

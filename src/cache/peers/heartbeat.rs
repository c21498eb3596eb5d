//! Writing this server's name, and reading those of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use url::Url;

use super::name::{self, SHELF};
use super::{Peer, Peers};
use crate::error::chain;
use crate::store::shared::{Listed, Shared};
use crate::tasks::Tasks;

/// How often, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two heartbeats.
    pub period: Duration,
    /// Who was not heard of for so long is gone; several periods.
    pub gone_after: Duration,
    /// How long a start waits to know the others.
    pub patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(10),
            gone_after: Duration::from_secs(35),
            patience: Duration::from_secs(3),
        }
    }
}

/// Begins to beat; see [`Peers::join`].
pub(super) async fn start(shared: Arc<dyn Shared>, url: Url, timing: Timing, tasks: &Tasks, peers: &Peers) {
    let heart = Heart {
        name: name::write(peers.me, &url),
        shared,
        timing,
        peers: peers.clone(),
    };
    peers.looking.is_on.store(true, Ordering::Relaxed);
    let stopping = tasks.stopping();
    let (known, first) = tokio::sync::oneshot::channel::<()>();
    drop(tasks.spawn(async move {
        let mut known = Some(known);
        let mut beats = tokio::time::interval(timing.period);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(REST);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let asked = async |looks: &mut tokio::time::Interval| {
            heart.peers.looking.asked.notified().await;
            looks.tick().await;
        };
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                _ = beats.tick() => heart.beat().await,
                () = asked(&mut looks) => heart.beat().await,
            }
            known.take();
        }
        heart.leave().await;
    }));
    // The sender is dropped after the first beat.
    let _known = tokio::time::timeout(timing.patience, first).await;
}

/// Between two looks that somebody asked for.
const REST: Duration = Duration::from_secs(1);
/// How long whoever asked waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks that are asked for between two heartbeats.
#[derive(Debug, Default)]
pub(super) struct Looking {
    /// There is somebody who looks.
    is_on: AtomicBool,
    asked: Notify,
    begun: AtomicU64,
    ended: watch::Sender<u64>,
}

impl Looking {
    /// Waits for a look that begins after this call.
    pub(super) async fn look(&self) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut ended = self.ended.subscribe();
        let wanted = self.begun.load(Ordering::Acquire) + 1;
        self.asked.notify_one();
        let look = ended.wait_for(|ended| *ended >= wanted);
        // A bucket that is slow changes nothing.
        let _late = tokio::time::timeout(PATIENCE, look).await;
    }
}

struct Heart {
    name: String,
    shared: Arc<dyn Shared>,
    timing: Timing,
    peers: Peers,
}

impl Heart {
    /// A bucket that cannot be asked changes nothing: whoever was there is still asked.
    async fn beat(&self) {
        let nth = self.peers.looking.begun.fetch_add(1, Ordering::AcqRel) + 1;
        self.beat_once().await;
        self.peers.looking.ended.send_replace(nth);
    }

    async fn beat_once(&self) {
        let written = self.shared.write(&self.name, Bytes::new()).await;
        let listed = match written {
            Ok(()) => self.shared.list(SHELF, None).await,
            Err(error) => Err(error),
        };
        match listed {
            Ok(listed) => self.see(&listed).await,
            Err(error) => tracing::debug!("the other servers cannot be seen: {}", chain(&error)),
        }
    }

    async fn see(&self, listed: &[Listed]) {
        // The clock of the bucket, which just wrote our own name.
        let now = listed
            .iter()
            .find(|one| one.name == self.name)
            .and_then(|one| one.written);
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
                // Nobody removed it at a crash. Failing is no harm: another server does it.
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
        // If that fails, the others find out by themselves.
        let _gone = tokio::time::timeout(self.timing.patience, leaving).await;
    }
}

fn age(written: Option<SystemTime>, now: Option<SystemTime>) -> Duration {
    match (written, now) {
        (Some(written), Some(now)) => now.duration_since(written).unwrap_or_default(),
        // Without times every name counts: better one attempt too many.
        _ => Duration::ZERO,
    }
}

//! Writing this server's name, and reading those of the others.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
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
    let stopping = tasks.stopping();
    let (known, first) = tokio::sync::oneshot::channel::<()>();
    drop(tasks.spawn(async move {
        let mut known = Some(known);
        let mut beats = tokio::time::interval(timing.period);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                _ = beats.tick() => heart.beat().await,
            }
            known.take();
        }
        heart.leave().await;
    }));
    // The sender is dropped after the first beat.
    let _known = tokio::time::timeout(timing.patience, first).await;
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

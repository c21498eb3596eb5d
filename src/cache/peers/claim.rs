//! Claims: which server of a bucket has which number. A number is claimed by a conditional write, so that no two
//! servers have the same one.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::ServerId;
use crate::error::chain;
use crate::store::shared::{ListedObject, SharedObjects};
use crate::store::{Error, Result};

const CLAIM_PREFIX: &str = "server-numbers/";
/// A claim is written again after this time, because a lifecycle rule may remove old objects.
const RENEW_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// A claim that is older than the newest one by this much is that of a server that is gone.
const STALE_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A start waits this long for its claim.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(3);
/// After so many numbers that are taken, stale claims are removed.
const MAX_DRAWS: usize = 16;

/// The number of this server, and the secret by which it knows its own claim.
#[derive(Debug, Clone)]
pub struct ServerNumber {
    /// The number.
    pub id: ServerId,
    /// Differs from that of all other servers; the same after a restart.
    pub owner: Bytes,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    Own,
    Taken,
}

impl ServerNumber {
    /// Claims the number in the bucket, or another one if it is taken. If the bucket cannot be asked in time, the
    /// number stays; the heartbeat asks again.
    pub async fn claim(&mut self, shared: &dyn SharedObjects) {
        let before = self.id;
        let drawing = async {
            for nth in 1.. {
                if self.try_claim(shared).await? == Claimed::Own {
                    break;
                }
                if nth % MAX_DRAWS == 0 {
                    remove_stale(shared).await?;
                }
                let drawn = ServerId::random();
                self.id = drawn.map_err(|error| Error::io("drawing the number of this server", error))?;
            }
            Ok::<_, Error>(())
        };
        let outcome = tokio::time::timeout(CLAIM_TIMEOUT, drawing).await;
        match outcome {
            Ok(Ok(())) if self.id != before => tracing::info!(
                before = before.number(),
                now = self.id.number(),
                "another server of this bucket has the number of this one, which has drawn another"
            ),
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!("the number of this server is not claimed yet: {}", chain(&error));
            }
            Err(_) => tracing::debug!("the number of this server is not claimed yet: no answer in time"),
        }
    }

    async fn try_claim(&self, shared: &dyn SharedObjects) -> Result<Claimed> {
        let name = name(self.id);
        if shared.create(&name, self.owner.clone()).await? {
            return Ok(Claimed::Own);
        }
        let found = shared.get(&name).await?;
        // One that is gone meanwhile can be claimed the next time.
        Ok(match found.is_some_and(|owner| owner == self.owner) {
            true => Claimed::Own,
            false => Claimed::Taken,
        })
    }
}

/// Keeps a claim alive.
#[derive(Debug)]
pub(super) struct ClaimKeeper {
    number: ServerNumber,
    renewed: Option<Instant>,
}

impl ClaimKeeper {
    pub(super) fn new(number: ServerNumber) -> Self {
        Self {
            number,
            renewed: None,
        }
    }

    /// Writes the claim again if it is time. `false` if another server has the number.
    pub(super) async fn renew(&mut self, shared: &dyn SharedObjects) -> Result<bool> {
        if self.renewed.is_some_and(|at| at.elapsed() < RENEW_INTERVAL) {
            return Ok(true);
        }
        let claimed = self.number.try_claim(shared).await?;
        if claimed == Claimed::Own {
            let owner = self.number.owner.clone();
            shared.put(&name(self.number.id), owner).await?;
            self.renewed = Some(Instant::now());
        }
        Ok(claimed == Claimed::Own)
    }
}

fn name(id: ServerId) -> String {
    format!("{CLAIM_PREFIX}{:03x}", id.number())
}

/// Removes the claims of servers that have not been there for long.
async fn remove_stale(shared: &dyn SharedObjects) -> Result<()> {
    let mut all: Vec<ListedObject> = Vec::new();
    let mut after = None;
    loop {
        let mut page = shared.list_page(CLAIM_PREFIX, after.as_deref()).await?;
        all.append(&mut page.objects);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let newest = all.iter().filter_map(|one| one.written).max();
    for one in all {
        let age = newest
            .zip(one.written)
            .map(|(newest, at)| newest.duration_since(at));
        if age.is_some_and(|age| age.unwrap_or_default() > STALE_AFTER) {
            shared.remove(&one.name).await?;
        }
    }
    Ok(())
}

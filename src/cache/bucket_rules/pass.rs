//! One pass over the tenants of which this server holds the rules.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::counts::add;
use super::names;
use super::parts::Working;
use super::tend::{Tended, Tender};
use crate::cache::peers::Owner;
use crate::error::chain;
use crate::store::journal::millis;
use crate::store::{Digest, Result};
use crate::tasks::pause;
use crate::telemetry::seldom::is_time;

/// More objects with rows of one tenant are not read: it has some millions of entries.
const MAX_OBJECTS: usize = 65_536;

/// Passes from time to time, until the server stops.
pub(super) async fn run(work: Arc<Working>) {
    let (stopping, pace) = (work.tasks.stopping(), work.notes.pace);
    let mut wait = pace.first_pass;
    let mut round = async || {
        pause(wait).await;
        wait = pace.pass;
        if work.notes.rules.bounds_remote() && work.is_up() {
            // Some KiB, once in hours.
            Box::pin(pass(&work)).await;
        }
    };
    while stopping.run_until_cancelled(round()).await.is_some() {}
}

async fn pass(work: &Working) {
    let counts = &work.notes.counts;
    match try_pass(work).await {
        Ok(tended) => {
            add(&counts.passes, 1);
            let (tenants, entries) = (tended.tenants, tended.entries);
            let (removed, bytes) = (tended.removed, tended.removed_bytes);
            tracing::info!(
                tenants,
                entries,
                removed,
                bytes,
                "held the rules of tenants in the bucket"
            );
        }
        Err(error) => {
            add(&counts.failed_passes, 1);
            let cause = chain(&error);
            tracing::warn!(
                cause,
                "the rules of tenants could not be held in the whole bucket; it is tried again"
            );
        }
    }
}

async fn try_pass(work: &Working) -> Result<Tended> {
    let (notes, remote) = (&work.notes, &work.parts.remote);
    notes.clock.learn(&**remote, work.parts.peers.me()).await?;
    let gap = last_gap(work).await?;
    let mut tender = Tender::new(work, (millis(notes.clock.now()), gap));
    let (mut after, mut current) = (None, Vec::new());
    loop {
        let page = remote.list_page(names::USES, after.as_deref()).await?;
        for object in page.objects {
            let Some(tenant) = names::tenant(&object.name) else {
                continue;
            };
            if current.first().and_then(|name: &String| names::tenant(name)) != Some(tenant) {
                tend(&mut tender, std::mem::take(&mut current)).await?;
            }
            if is_ours(work, &tenant) && current.len() <= MAX_OBJECTS {
                current.push(object.name);
            }
        }
        after = page.next;
        if after.is_none() {
            tend(&mut tender, current).await?;
            return Ok(tender.tended);
        }
    }
}

async fn tend(tender: &mut Tender<'_>, objects: Vec<String>) -> Result<()> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    match objects.len() {
        0 => Ok(()),
        1..=MAX_OBJECTS => tender.tend(objects).await,
        _ => {
            if is_time(&LAST) {
                tracing::warn!(
                    most = MAX_OBJECTS,
                    "a tenant has too many entries for its rules to be held in the bucket; let a lifecycle rule remove old ones"
                );
            }
            Ok(())
        }
    }
}

/// Whether this server holds the rules of a tenant now.
fn is_ours(work: &Working, tenant: &Digest) -> bool {
    work.parts.peers.owner_of(tenant) == Owner::Local
}

/// When rows were lost last, in milliseconds since 1970. Older gaps are removed: the last one covers them.
async fn last_gap(work: &Working) -> Result<u64> {
    let remote = &work.parts.remote;
    let (mut after, mut last): (_, Option<(u64, String)>) = (None, None);
    loop {
        let page = remote.list_page(names::GAPS, after.as_deref()).await?;
        for object in page.objects {
            let Some(end) = names::gap_end(&object.name) else {
                continue;
            };
            if let Some((_, former)) = last.replace((end, object.name)) {
                remote.remove(&former).await?;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(last.map_or(0, |(end, _)| end));
        }
    }
}

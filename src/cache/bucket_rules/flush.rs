//! Rows on their way into the bucket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::counts::add;
use super::parts::Working;
use super::row::UseRow;
use super::{names, row};
use crate::error::chain;
use crate::store::{Result, Tenant};
use crate::sys;

/// A stop waits this long for the bucket.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends rows from time to time, and when the server stops.
pub(super) async fn run(work: Arc<Working>) {
    if mark(&work, Path::try_exists).await {
        // An earlier run has ended without a stop.
        work.notes.lose();
    }
    let stopping = work.tasks.stopping();
    let mut flushes = interval(work.notes.pace.flush);
    flushes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            () = work.notes.woken() => {
                mark(&work, |path| std::fs::write(path, "").map(|()| true)).await;
                if !work.notes.are_many() {
                    continue;
                }
            }
            _ = flushes.tick() => {}
        }
        flush(&work).await;
    }
    let _late = timeout(STOP_TIMEOUT, flush(&work)).await;
}

/// Sends all rows that wait. The mark goes when none is left.
async fn flush(work: &Working) {
    if !work.is_up() {
        return;
    }
    match try_flush(work).await {
        Ok(()) if work.notes.pending() == 0 => {
            // The first row of the next ones brings it back.
            mark(work, |path| {
                sys::if_exists(std::fs::remove_file(path)).map(|_| true)
            })
            .await;
        }
        Ok(()) => {}
        Err(error) => {
            let cause = chain(&error);
            tracing::debug!(
                cause,
                "uses of entries could not be noted in the bucket; trying again"
            );
        }
    }
}

async fn try_flush(work: &Working) -> Result<()> {
    let (notes, remote) = (&work.notes, &work.parts.remote);
    if notes.take_lost() {
        let told = remote.append(&names::gap(notes.clock.now()), Bytes::new()).await;
        told.inspect_err(|_| notes.lose())?;
    }
    let mut waiting = notes.take();
    while let Some((tenant, rows)) = waiting.pop() {
        if let Err(error) = send(work, &tenant, &rows).await {
            waiting.push((tenant, rows));
            notes.put_back(waiting);
            return Err(error);
        }
        add(&notes.counts.noted, rows.len() as u64);
    }
    Ok(())
}

async fn send(work: &Working, tenant: &Tenant, rows: &[UseRow]) -> Result<()> {
    for content in row::write(tenant, rows) {
        let name = names::rows(tenant.digest(), work.notes.clock.now());
        work.parts.remote.append(&name, content).await?;
    }
    Ok(())
}

/// Does something with the file that says that rows wait.
async fn mark(work: &Working, change: impl FnOnce(&Path) -> io::Result<bool> + Send + 'static) -> bool {
    let path = work.parts.mark.clone();
    let changed = work.tasks.spawn_blocking(move || change(&path)).await;
    match changed {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a crash would not be told from a stop");
            false
        }
        Err(_) => false,
    }
}

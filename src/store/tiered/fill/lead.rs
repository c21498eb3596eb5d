//! The task of one fill.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::growing::Growing;
use super::transfer::Transfer;
use super::{Fill, State, damaged, small};
use crate::store::remote::RemoteOpen;
use crate::store::spool::{Growth, SMALL};
use crate::store::tiered::Inner;
use crate::store::{
    Content, Draft, Entry, Error, FileRange, Meta, Precondition, RemoteFault, Result, Spool, Store, StoreKey,
};

/// How long a fill waits for room on the disk before its entry is streamed.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a small entry is read anew when it is not what was stored: the server may have been changing it.
const ATTEMPTS: usize = 3;

/// Fetches the entry, tells all readers, and publishes it on the disk.
pub(super) async fn run(inner: Arc<Inner>, key: StoreKey, fill: Arc<Fill>) {
    let stop = inner.tasks.stopping();
    let asked = tokio::select! {
        () = stop.cancelled() => Err(Error::Stopping),
        asked = ask(&inner, &key, &fill) => asked,
    };
    if let Err(error) = asked {
        inner.counters.fill_failed();
        // Before it is told: who comes now asks anew.
        inner.fills.end(key.digest(), &fill);
        fill.tell(State::failed(error));
    }
    inner.fills.end(key.digest(), &fill);
}

impl Fill {
    fn tell(&self, state: State) {
        self.state.send_if_modified(|now| {
            // What was told first stands.
            let first = matches!(now, State::Asking);
            if first {
                *now = state;
            }
            first
        });
    }
}

async fn ask(inner: &Arc<Inner>, key: &StoreKey, fill: &Arc<Fill>) -> Result<()> {
    // A fill that has just ended may have put it there.
    if let Some(entry) = inner.near_get(key).await {
        fill.tell(State::Found(entry));
        return Ok(());
    }
    for attempt in 1.. {
        match ask_far(inner, key, fill).await {
            Err(error) if is_torn(&error) && attempt < ATTEMPTS => {}
            other => return other,
        }
    }
    Ok(())
}

async fn ask_far(inner: &Arc<Inner>, key: &StoreKey, fill: &Arc<Fill>) -> Result<()> {
    let Some(open) = inner.far.open(key).await? else {
        inner.fills.end(key.digest(), fill);
        fill.tell(State::Missing);
        return Ok(());
    };
    if open.entry.meta.size > SMALL as u64 {
        // Its faults are met part by part; once readers follow it, there is no other attempt.
        large(inner, key, fill, open).await;
        return Ok(());
    }
    let (meta, bytes) = small::read(&inner.far, key, open).await?;
    inner.counters.fetched(meta.size);
    let content = Content::Memory(bytes.clone());
    let entry = Entry { meta, content };
    fill.tell(State::Found(entry.clone()));
    if let Some(spool) = small::spool(&inner.near.spools(), bytes).await {
        publish(inner, key, fill, &entry.meta, spool).await;
    }
    Ok(())
}

fn is_torn(error: &Error) -> bool {
    matches!(
        error.remote_fault(),
        Some(RemoteFault::Damaged | RemoteFault::Changed)
    )
}

/// Readers follow the file from now on; faults reach them through it.
async fn large(inner: &Arc<Inner>, key: &StoreKey, fill: &Arc<Fill>, open: RemoteOpen) {
    let meta = Arc::clone(&open.entry.meta);
    let Some(growth) = room(inner, meta.size).await else {
        inner.fills.end(key.digest(), fill);
        return fill.tell(State::Streamed(Arc::new(Mutex::new(Some(open)))));
    };
    let growing = Growing::new(growth, meta.size, inner.far.plan().part_size);
    let content = Content::File(FileRange::whole(growing.for_readers(), meta.size));
    fill.tell(State::Found(Entry {
        meta: Arc::clone(&meta),
        content,
    }));
    let transfer = Transfer::new(inner, key, open.entry, growing.clone());
    match transfer.run(open.front, open.length).await {
        Ok(sums) if sums.etag() == meta.etag => {
            growing.complete();
            publish(inner, key, fill, &meta, growing.finish(sums)).await;
        }
        Ok(_) => {
            let error = damaged("the body does not have the checksum that was stored with it");
            give_up(inner, &growing, &error);
        }
        Err(error) => give_up(inner, &growing, &error),
    }
}

fn give_up(inner: &Inner, growing: &Growing, error: &Error) {
    inner.counters.fill_failed();
    if !matches!(error, Error::Stopping) {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "an entry could not be fetched to its end; its readers are cut"
        );
    }
    growing.fail(error);
}

async fn room(inner: &Inner, size: u64) -> Option<Growth> {
    let spools = inner.near.spools();
    match tokio::time::timeout(PATIENCE, spools.grow(size)).await {
        Ok(Ok(growth)) => Some(growth),
        Ok(Err(_full)) => None,
        Err(_waiting) => None,
    }
}

/// Makes the entry one of the disk, unless it was changed since it was asked for.
async fn publish(inner: &Inner, key: &StoreKey, fill: &Fill, meta: &Meta, spool: Spool) {
    let asked: Instant = fill.begun;
    let _change = inner.changes.lock(key.digest()).await;
    if fill.outdated.load(Ordering::SeqCst) {
        return;
    }
    let draft = Draft {
        origin: meta.origin.clone(),
        metadata: meta.metadata.clone(),
    };
    match inner.near.put(key, draft, spool, Precondition::None).await {
        Ok(_) => {
            if let Some(fresh) = &inner.fresh {
                fresh.note(key.digest(), asked);
            }
        }
        Err(Error::Stopping) => {}
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an entry that was fetched could not be kept on the disk"
        ),
    }
}

//! The task of one fill.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::store::follow::{Fill, FillState, GrowingFile, Judge, Transfer, read_whole};
use crate::store::source::{EntrySource, SourceOpen};
use crate::store::spool::{Growth, MAX_MEMORY_SPOOL_BYTES, SpoolDir};
use crate::store::tiered::TieredCore;
use crate::store::{
    Content, Draft, Entry, Error, Meta, Precondition, RemoteErrorKind, Result, Spool, Store, StoreKey,
};

/// How long a fill waits for room on the disk before its entry is streamed.
const ROOM_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a small entry is read anew when it is not what was stored: the server may have been changing it.
const MAX_ATTEMPTS: usize = 3;

/// Fetches the entry, hands it to all readers, and publishes it on the disk.
pub(super) async fn run(core: Arc<TieredCore>, key: StoreKey, fill: Arc<Fill>) {
    let stop = core.tasks.stopping();
    let asked = tokio::select! {
        () = stop.cancelled() => Err(Error::Stopping),
        asked = ask(&core, &key, &fill) => asked,
    };
    if let Err(error) = asked {
        core.counters.failed_fills.inc();
        // First of all: a reader that comes now begins a fill of its own.
        core.fills.end(key.digest(), &fill);
        fill.tell(FillState::failed(error));
    }
    core.fills.end(key.digest(), &fill);
}

async fn ask(core: &Arc<TieredCore>, key: &StoreKey, fill: &Arc<Fill>) -> Result<()> {
    // A fill that has just ended may have put it there.
    if let Some(entry) = core.copy(key).await? {
        fill.tell(FillState::Found(entry));
        return Ok(());
    }
    for attempt in 1.. {
        match ask_remote(core, key, fill).await {
            Err(error) if is_torn(&error) && attempt < MAX_ATTEMPTS => {}
            other => return other,
        }
    }
    Ok(())
}

async fn ask_remote(core: &Arc<TieredCore>, key: &StoreKey, fill: &Arc<Fill>) -> Result<()> {
    let source = core.remote.source(key);
    let Some(open) = source.open().await? else {
        core.fills.end(key.digest(), fill);
        fill.tell(FillState::Missing);
        return Ok(());
    };
    if open.meta.size > MAX_MEMORY_SPOOL_BYTES as u64 {
        // Its faults are met part by part; once readers follow it, there is no other attempt.
        large(core, key, fill, source, open).await;
        return Ok(());
    }
    let meta = Arc::clone(&open.meta);
    let bytes = read_whole(&*source, open, &Judge::by_tag(&meta.etag)).await?;
    core.counters.fetched_bytes.inc_by(meta.size);
    let entry = Entry {
        meta,
        content: Content::Memory(bytes.clone()),
        tier: core.remote.name(),
    };
    fill.tell(FillState::Found(entry.clone()));
    if let Some(spool) = spool(&core.local.spools(), bytes).await {
        publish(core, key, fill, &entry.meta, spool).await;
    }
    Ok(())
}

/// Whether another attempt may find a whole entry.
pub(in crate::store::tiered) fn is_torn(error: &Error) -> bool {
    matches!(
        error.remote_error_kind(),
        Some(RemoteErrorKind::Damaged | RemoteErrorKind::Changed)
    )
}

/// Readers follow the file from now on; faults reach them through it.
async fn large(
    core: &Arc<TieredCore>,
    key: &StoreKey,
    fill: &Arc<Fill>,
    source: Arc<dyn EntrySource>,
    open: SourceOpen,
) {
    let meta = Arc::clone(&open.meta);
    let Some(growth) = room(core, meta.size).await else {
        core.fills.end(key.digest(), fill);
        return fill.tell(FillState::streamed(open));
    };
    let growing = GrowingFile::new(growth, meta.size, source.plan().part_size);
    fill.tell(FillState::Found(Entry {
        meta: Arc::clone(&meta),
        content: growing.content(),
        tier: core.remote.name(),
    }));
    let transfer = Transfer::new(&core.transfers, source, &open, growing);
    let judge = Judge::by_tag(&meta.etag);
    match transfer.run(open.first, open.length, &judge).await {
        Ok(body) => publish(core, key, fill, &meta, body).await,
        Err(error) => {
            core.counters.failed_fills.inc();
            if !matches!(error, Error::Stopping) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an entry could not be fetched to its end; its readers are cut"
                );
            }
        }
    }
}

/// Bytes of a small entry, ready for the disk; `None` if it has no room now.
async fn spool(spools: &SpoolDir, bytes: Bytes) -> Option<Spool> {
    let write = async {
        let mut writer = spools.create(Some(bytes.len() as u64)).await?;
        writer.write(bytes).await?;
        writer.finish().await
    };
    tokio::time::timeout(ROOM_TIMEOUT, write).await.ok()?.ok()
}

async fn room(core: &TieredCore, size: u64) -> Option<Growth> {
    let spools = core.local.spools();
    match tokio::time::timeout(ROOM_TIMEOUT, spools.grow(size)).await {
        Ok(Ok(growth)) => Some(growth),
        Ok(Err(_full)) => None,
        Err(_waiting) => None,
    }
}

/// Makes the entry one of the disk, unless it was changed since it was asked for.
async fn publish(core: &TieredCore, key: &StoreKey, fill: &Fill, meta: &Meta, spool: Spool) {
    let _change = core.changes.lock(key.digest()).await;
    if fill.is_outdated() {
        return;
    }
    let draft = Draft {
        origin: meta.origin.clone(),
        metadata: meta.metadata.clone(),
    };
    match core.local.put(key, draft, spool, Precondition::None).await {
        Ok(_) => core.freshness.note(key, fill.begun()),
        Err(Error::Stopping) => {}
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an entry that was fetched could not be kept on the disk"
        ),
    }
}

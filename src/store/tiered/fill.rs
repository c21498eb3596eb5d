//! Fills: what is only in the remote tier, on its way to the disk.
//!
//! One fetch per key, however many readers wait ([`crate::store::follow`]). What is decided here: an entry that fits is
//! published on the disk under the lock of its key, unless it was changed meanwhile; one that finds no room is
//! streamed past the disk.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::TieredCore;
use crate::store::follow::{Fill, FillState, GrowingFile, Judge, Transfer, read_whole, stream};
use crate::store::source::{EntrySource, SourceOpen};
use crate::store::spool::{Growth, MAX_MEMORY_SPOOL_BYTES, SpoolDir};
use crate::store::{
    Content, Draft, Entry, Error, Meta, Precondition, RemoteErrorKind, Result, Spool, Store, StoreKey,
    TierName,
};

/// How long a fill waits for room on the disk before its entry is streamed.
const ROOM_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a small entry is read anew when it is not what was stored: the server may have been changing it.
const MAX_ATTEMPTS: usize = 3;

impl TieredCore {
    /// The entry of the remote tier, on its way to the disk.
    pub(super) async fn fetch(self: &Arc<Self>, key: &StoreKey) -> Result<Option<Entry>> {
        let arrived = Instant::now();
        loop {
            if self.queue.is_waiting(key.digest()) {
                // What the remote tier has is older. The entry may have come to the disk a moment ago.
                return Box::pin(self.copy(key)).await;
            }
            if let Some(held) = Box::pin(self.held_entry(key)).await {
                return Ok(held);
            }
            let (fill, leads) = self.fills.join(key.digest());
            if leads {
                self.counters.fills.inc();
                let task = run(Arc::clone(self), key.clone(), Arc::clone(&fill));
                drop(self.tasks.spawn(task));
            } else {
                self.counters.joined.inc();
            }
            match fill.told().await? {
                FillState::Found(entry) => {
                    if leads || self.is_current(key, &fill, &entry.meta, arrived).await? {
                        return Ok(Some(found(entry).asked_by(key.asker())));
                    }
                }
                // What was opened is for the reader that asked; the others came later.
                FillState::Streamed(open) => {
                    let open = open
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .take_if(|_| leads);
                    return self.stream(key, open).await;
                }
                FillState::Failed(operation, kind, text) => {
                    return Err(Error::remote(operation, kind, text));
                }
                FillState::Missing if fill.begun >= arrived => return Ok(None),
                // The remote tier was asked before this reader came: the entry may have been stored since.
                FillState::Missing | FillState::Asking => {}
                FillState::Stopping => return Err(Error::Stopping),
            }
        }
    }

    /// The entry, past the disk.
    async fn stream(&self, key: &StoreKey, first: Option<SourceOpen>) -> Result<Option<Entry>> {
        self.counters.streamed.inc();
        let source = self.remote.source(key);
        let open = match first {
            Some(open) => Some(open),
            None => source.open().await?,
        };
        Ok(open.map(|open| {
            let meta = Arc::clone(&open.meta);
            let judge = Judge::by_tag(&meta.etag);
            Entry {
                content: stream::content(source, open, judge, &self.tasks),
                meta,
                tier: self.remote.name(),
            }
        }))
    }
}

/// The entry of a fill: once its file is whole, the disk gives the bytes.
fn found(mut entry: Entry) -> Entry {
    if matches!(&entry.content, Content::File(file) if !file.is_growing()) {
        entry.tier = TierName::DISK;
    }
    entry
}

/// Fetches the entry, hands it to all readers, and publishes it on the disk.
async fn run(core: Arc<TieredCore>, key: StoreKey, fill: Arc<Fill>) {
    // Whatever becomes of the task, nobody waits for it for ever.
    let _lead = core.fills.lead(key.digest(), &fill);
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
    if let Some(spool) = spool(&spools_of(core, &entry.meta), bytes).await {
        publish(core, key, fill, &entry.meta, spool).await;
    }
    Ok(())
}

/// Whether another attempt may find a whole entry.
pub(super) fn is_torn(error: &Error) -> bool {
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
    let Some(growth) = room(core, &meta).await else {
        core.fills.end(key.digest(), fill);
        return fill.tell(FillState::streamed(open));
    };
    let growing = GrowingFile::new(growth, meta.size, source.plan().part_size);
    fill.tell(FillState::Found(Entry {
        meta: Arc::clone(&meta),
        content: growing.content(),
        tier: core.remote.name(),
    }));
    let transfer = Transfer::new(&core.transfers, (source, key.asker()), &open, growing);
    let judge = Judge::by_tag(&meta.etag);
    match transfer.run(open.first, open.length, &judge).await {
        Ok(body) => publish(core, key, fill, &meta, body).await,
        Err(error) => {
            core.counters.failed_fills.inc();
            if !matches!(error, Error::Stopping) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
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
    timeout(ROOM_TIMEOUT, write).await.ok()?.ok()
}

async fn room(core: &TieredCore, meta: &Meta) -> Option<Growth> {
    let spools = spools_of(core, meta);
    timeout(ROOM_TIMEOUT, spools.grow(meta.size)).await.ok()?.ok()
}

/// Room for whom the entry belongs to: its writer, not its reader.
fn spools_of(core: &TieredCore, meta: &Meta) -> SpoolDir {
    let tenancy = meta.origin.tenancy.as_ref();
    core.local.spools().of(tenancy.map(|tenancy| &tenancy.tenant))
}

/// Makes the entry one of the disk, unless it was changed since it was asked for.
async fn publish(core: &TieredCore, key: &StoreKey, fill: &Fill, meta: &Meta, spool: Spool) {
    let _change = core.changes.lock(key.digest()).await;
    if fill.is_outdated() || core.queue.is_waiting(key.digest()) {
        return;
    }
    let draft = Draft {
        origin: meta.origin.clone(),
        metadata: meta.metadata.clone(),
    };
    match core.local.put(key, draft, spool, Precondition::None).await {
        Ok(_) => core.freshness.note(key, fill.begun),
        Err(Error::Stopping) => {}
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "an entry that was fetched could not be kept on the disk");
        }
    }
}

//! Fills: what is only in the remote tier, on its way to the disk.
//!
//! One fetch per key, however many readers wait ([`crate::store::follow`]). What is decided here: an entry that fits is
//! published on the disk under the lock of its key, unless it was changed meanwhile; one that finds no room is
//! streamed past the disk.

mod lead;

pub(super) use lead::is_torn;

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use super::TieredCore;
use crate::store::follow::{FillState, Judge, stream};
use crate::store::source::SourceOpen;
use crate::store::{Content, Entry, Error, Result, StoreKey, TierName};

impl TieredCore {
    /// The entry of the remote tier, on its way to the disk.
    pub(super) async fn fetch(self: &Arc<Self>, key: &StoreKey) -> Result<Option<Entry>> {
        let arrived = Instant::now();
        loop {
            if self.queue.is_deleted(key.digest()) {
                return Ok(None);
            }
            let (fill, leads) = self.fills.join(key.digest());
            if leads {
                self.counters.fills.inc();
                let task = lead::run(Arc::clone(self), key.clone(), Arc::clone(&fill));
                drop(self.tasks.spawn(task));
            } else {
                self.counters.joined.inc();
            }
            match fill.told().await? {
                FillState::Found(entry) => {
                    if leads || self.is_current(key, &fill, &entry.meta, arrived).await? {
                        return Ok(Some(found(entry)));
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
                FillState::Missing if fill.begun() >= arrived => return Ok(None),
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

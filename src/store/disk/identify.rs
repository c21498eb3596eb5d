//! Reads whom entries belong to whose rows do not say it: a crash has lost them, or a former version wrote them.
//!
//! Once after a start, when the directory is scanned, in small steps: a cold disk serves requests first. Until then
//! these entries belong to nobody who is known. Who opens one reads it as well.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::core::DiskCore;
use super::format;
use super::recover::SLICE_SLOTS;
use super::slab::ListKind;
use crate::store::Digest;
use crate::{sys, tasks};

/// Files that are read before others get a turn.
const FILES_AT_ONCE: usize = 64;
/// Between two turns.
const PAUSE: Duration = Duration::from_millis(10);

/// Reads all of them once, unless the tier stops before.
pub(super) async fn run(core: Arc<DiskCore>) {
    tokio::select! {
        () = core.stop.cancelled() => {}
        () = read_all(&core) => {}
    }
}

async fn read_all(core: &Arc<DiskCore>) {
    core.indexed().await;
    if core.read_index(|index| index.unread()) == 0 {
        return;
    }
    let Ok(slots) = core.blocking(|core| core.unread_slots()).await else {
        return;
    };
    for slots in slots.chunks(FILES_AT_ONCE) {
        let files = core.read_index(|index| {
            let files = slots.iter().filter_map(|(_, id)| index.unread_version(*id));
            files.collect::<Vec<_>>()
        });
        let read = core.blocking(move |core| {
            // After the close, the directory may be another server's.
            let Ok(_pass) = core.enter() else { return };
            files
                .iter()
                .for_each(|(digest, generation)| core.read_tenancy(digest, *generation));
        });
        if read.await.is_err() {
            return;
        }
        tasks::pause(PAUSE).await;
    }
    if !slots.is_empty() {
        // Others were in these lists already.
        let order = |core: &Arc<DiskCore>| [ListKind::Restored, ListKind::Found].map(|list| core.order(list));
        let _ended = core.blocking(order).await;
    }
}

impl DiskCore {
    /// Blocking: looks through the whole index, and sorts what may be all of it.
    fn unread_slots(&self) -> Vec<(u64, u32)> {
        let (mut slots, mut from) = (Vec::new(), 0);
        while self.read_index(|index| index.unread_slots(from, SLICE_SLOTS, &mut slots)) {
            from += SLICE_SLOTS;
        }
        // Each becomes the newest of its list, so the newest one comes last.
        slots.sort_unstable();
        slots
    }

    /// Blocking: reads whom an entry belongs to. What cannot be read stays as it is: whoever opens it finds out.
    pub(super) fn read_tenancy(&self, digest: &Digest, generation: u64) {
        let read = || -> io::Result<_> {
            let Some(file) = sys::if_exists(File::open(self.layout.entry(digest, generation)))? else {
                return Ok(None);
            };
            let length = file.metadata()?.len();
            Ok(format::tenancy(&file, length).ok())
        };
        if let Ok(Some(tenancy)) = read() {
            let (_keeps_its_number, belongs) = self.number(tenancy.as_ref());
            self.index(|index| index.assign(digest, generation, belongs));
        }
    }
}

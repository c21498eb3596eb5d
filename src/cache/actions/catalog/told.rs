//! Up to when the other servers were told of the entries of this one, also after a crash.
//!
//! A small file beside the ledger has a moment W: of all entries that were named before W the others were told. It is
//! written seldom, so W is late, never early. A start tells the entries of the ledger from W on again. Telling twice
//! changes nothing: the entry names its record.
//!
//! ```text
//! record of store::tagged, magic CTLD; field 1: W in milliseconds since 1970
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use futures_util::{StreamExt, stream};

use super::Catalog;
use crate::cache::actions::entry::CommittedEntry;
use crate::cache::actions::ledger::LedgerSite;
use crate::store::budget::whole_blocks;
use crate::store::journal::{Ulid, now_millis};
use crate::store::tagged::{RecordKind, Tag, TaggedReader, TaggedWriter};
use crate::sys;
use crate::tasks::{Tasks, pause};

const UNTIL: Tag = Tag::new(1);
const KIND: RecordKind = RecordKind {
    magic: *b"CTLD",
    version: 1,
    tags: &[UNTIL],
};
/// Longest file that is read.
const MAX_BYTES: usize = 4096;
/// Time between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// An entry is named a little before it counts as untold.
const SLACK_MILLIS: u64 = 60 * 1000;
/// Without a file, only entries of this time are told again.
const UNKNOWN_MILLIS: u64 = 60 * 60 * 1000;
/// Entries that are told again at once.
const PARALLEL_TELLS: usize = 16;
/// A stop waits this long for the others to hear of the last entries.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(1);
const STOP_STEP: Duration = Duration::from_millis(20);

/// What the other servers were not told of yet.
#[derive(Debug, Default)]
pub(super) struct ToldMark {
    state: Mutex<TellState>,
    /// Something was to be told since the last write.
    changed: AtomicBool,
}

#[derive(Debug, Default)]
struct TellState {
    /// How many entries are being told, by the moments when they were named.
    untold: BTreeMap<u64, usize>,
    /// Entries from here on may have been dropped untold.
    dropped_from: Option<u64>,
}

/// An entry of which others are being told. Dropped without [`Untold::told`], it is told again later.
#[derive(Debug)]
pub(super) struct Untold {
    mark: Arc<ToldMark>,
    named: u64,
    is_told: bool,
}

impl Untold {
    /// They know.
    pub(super) fn told(mut self) {
        self.is_told = true;
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        let mut state = self.mark.lock();
        if let Some(count) = state.untold.get_mut(&self.named) {
            *count -= 1;
            if *count == 0 {
                state.untold.remove(&self.named);
            }
        }
        if !self.is_told {
            state.drop_from(self.named);
        }
    }
}

impl TellState {
    fn drop_from(&mut self, named: u64) {
        self.dropped_from = Some(self.dropped_from.map_or(named, |from| from.min(named)));
    }
}

impl ToldMark {
    pub(super) fn begin(self: &Arc<Self>, id: Ulid) -> Untold {
        self.begin_from(id.timestamp_ms())
    }

    fn begin_from(self: &Arc<Self>, named: u64) -> Untold {
        *self.lock().untold.entry(named).or_default() += 1;
        self.changed.store(true, Ordering::Release);
        Untold {
            mark: Arc::clone(self),
            named,
            is_told: false,
        }
    }

    /// From where on entries have to be told again. It counts as untold meanwhile.
    fn take_dropped(self: &Arc<Self>) -> Option<Untold> {
        let from = self.lock().dropped_from.take()?;
        Some(self.begin_from(from))
    }

    fn is_at_rest(&self) -> bool {
        self.lock().untold.is_empty()
    }

    /// Before this moment nothing is untold.
    fn until(&self, now: u64) -> u64 {
        let state = self.lock();
        let first = state.untold.first_key_value().map(|(named, _)| *named);
        now.min(first.unwrap_or(now))
            .min(state.dropped_from.unwrap_or(now))
    }

    fn lock(&self) -> MutexGuard<'_, TellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the server stops, and a moment longer.
pub(super) async fn run(catalog: Catalog, site: LedgerSite, tasks: Tasks) {
    let stopping = tasks.stopping();
    catalog.loaded().await;
    let mark = &catalog.shared.told;
    let file = MarkFile::of(&site);
    let Ok(until) = tasks.spawn_blocking(move || file.load()).await else {
        return;
    };
    let now = now_millis();
    let from = match until {
        Some(until) => until.min(now).saturating_sub(SLACK_MILLIS),
        None => now.saturating_sub(UNKNOWN_MILLIS),
    };
    mark.lock().drop_from(from);
    let telling = async {
        loop {
            // What waits is tried again by itself; while it fails, more would fail as well.
            if catalog.stats().unsent == 0
                && let Some(dropped) = mark.take_dropped()
            {
                catalog.tell_since(dropped.named).await;
                dropped.told();
            }
            keep(mark, &site, &tasks).await;
            pause(WRITE_INTERVAL).await;
        }
    };
    stopping.run_until_cancelled(telling).await;
    let resting = async {
        while !mark.is_at_rest() {
            pause(STOP_STEP).await;
        }
    };
    let _late = tokio::time::timeout(STOP_GRACE, resting).await;
    keep(mark, &site, &tasks).await;
}

/// Writes the file if there is something new to say.
async fn keep(mark: &Arc<ToldMark>, site: &LedgerSite, tasks: &Tasks) {
    if !mark.changed.swap(false, Ordering::AcqRel) {
        return;
    }
    let until = mark.until(now_millis());
    let file = MarkFile::of(site);
    let written = tasks.spawn_blocking(move || file.write(until)).await;
    if let Ok(Err(error)) = &written {
        tracing::warn!(%error, "the file actions/told cannot be written; check the disk");
    }
    // What is being told still has to be said as told, later.
    if !mark.is_at_rest() || !matches!(written, Ok(Ok(()))) {
        mark.changed.store(true, Ordering::Release);
    }
}

impl Catalog {
    /// Tells the others again of all entries that were named from `since` on.
    async fn tell_since(&self, since: u64) {
        for slice in self.shared.index.slices() {
            let young = slice
                .into_iter()
                .filter(|entry| entry.record.id.timestamp_ms() >= since);
            let tells = young.map(|entry: CommittedEntry| async move { self.tell(&entry).await });
            stream::iter(tells)
                .buffer_unordered(PARALLEL_TELLS)
                .collect::<()>()
                .await;
            // The next slice may have none.
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Debug)]
struct MarkFile {
    path: PathBuf,
    site: LedgerSite,
}

impl MarkFile {
    fn of(site: &LedgerSite) -> Self {
        Self {
            path: site.folder.join("told"),
            site: site.clone(),
        }
    }

    /// Blocking: counts the file. `None` if there is none that can be read.
    fn load(&self) -> Option<u64> {
        self.site.account.adjust(bytes_of(&self.path) as i64);
        let bytes = fs::read(&self.path).ok()?;
        TaggedReader::open(&KIND, &bytes, MAX_BYTES).ok()?.number(UNTIL)
    }

    /// Blocking. In one step: a torn file would say nothing.
    fn write(&self, until: u64) -> io::Result<()> {
        let mut record = TaggedWriter::new(&KIND);
        record.number(UNTIL, until);
        let before = bytes_of(&self.path);
        sys::replace_file(&self.path, &record.finish(), self.site.sync)?;
        self.site
            .account
            .adjust(bytes_of(&self.path) as i64 - before as i64);
        Ok(())
    }
}

fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| whole_blocks(file.len()))
}

//! Entries that can be answered at once: small bodies in memory, larger ones as open files.
//!
//! Two budgets bound them, one in bytes and one in open files. A cell that was used since it was weighed last
//! gets a second chance.
//!
//! A cell also notes uses, with no lock: [`HotCell::touch`]. The index asks for them when it has to choose a victim, when
//! it writes the snapshot, and when a cell leaves its slot. [`HotTable`] finds the cells that are counted without the
//! lock of the index.

mod set;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tokio::sync::OnceCell;

pub(super) use set::{Cooled, HotSet};
pub(super) use table::{HotRow, HotTable};

use super::file::DiskFile;
use crate::store::{Content, Entry, Meta};

/// What an entry takes besides its body: description, slot of the queue.
const OVERHEAD_BYTES: u64 = 512;
/// Microseconds between two checks of the file behind an open entry.
const RECHECK_INTERVAL_US: u64 = 1_000_000;
/// Microseconds by which a noted use may be older than the last one.
const USE_GRAIN_US: u64 = 100_000;

/// Marks of a use that nobody has asked for: [`HotQueue`](set) weighs the cell, the index looks for a victim, the
/// snapshot is written.
const REFERENCED: u8 = 1;
const VISITED: u8 = 2;
const UNLOGGED: u8 = 4;
const USED: u8 = REFERENCED | VISITED | UNLOGGED;

/// An entry that has been opened.
#[derive(Debug)]
pub(super) struct OpenedEntry {
    pub(super) entry: Entry,
    /// The open file, if the body is not in memory.
    pub(super) file: Option<Arc<DiskFile>>,
    /// When the file was checked last, in microseconds since 1970.
    checked: AtomicU64,
}

impl OpenedEntry {
    pub(super) fn new(entry: Entry, file: Option<Arc<DiskFile>>, now: u64) -> Arc<Self> {
        Arc::new(Self {
            entry,
            file,
            checked: now.into(),
        })
    }

    /// Whether the file is still what it was: at most one `fstat` a second, which never waits.
    pub(super) fn is_sound(&self, now: u64) -> bool {
        let Some(file) = &self.file else { return true };
        if file.is_damaged() {
            return false;
        }
        if now.saturating_sub(self.checked.load(Ordering::Relaxed)) < RECHECK_INTERVAL_US {
            return true;
        }
        self.checked.store(now, Ordering::Relaxed);
        file.age();
        file.is_unchanged()
    }
}

/// Holds an entry as soon as a request has opened it; all others wait for that one.
#[derive(Debug, Default)]
pub(super) struct HotCell {
    pub(super) opened: OnceCell<Arc<OpenedEntry>>,
    uses: AtomicU8,
    /// Microseconds since 1970.
    last_used: AtomicU64,
    /// Whether it is counted in one of the budgets. Changed under the lock of the index only.
    counted: AtomicBool,
}

impl HotCell {
    /// A cell that needs no opening.
    pub(super) fn filled(opened: Arc<OpenedEntry>) -> Arc<Self> {
        Arc::new(Self {
            opened: OnceCell::new_with(Some(opened)),
            ..Self::default()
        })
    }

    /// A cell that is not opened yet.
    pub(super) fn empty() -> Arc<Self> {
        Arc::default()
    }

    /// A cell that is not opened yet, of an entry that was used last at `at`.
    pub(super) fn used_at(at: u64) -> Arc<Self> {
        Arc::new(Self {
            last_used: at.into(),
            ..Self::default()
        })
    }

    /// The entry is used. Takes no lock.
    pub(super) fn touch(&self, now: u64) {
        // A store of the same value would still take the cache line from the other cores.
        let is_known = self.uses.load(Ordering::Relaxed) == USED;
        if !is_known || now.saturating_sub(self.last_used()) > USE_GRAIN_US {
            self.last_used.fetch_max(now, Ordering::Relaxed);
            self.uses.store(USED, Ordering::Relaxed);
        }
    }

    /// When the entry was used last, to within a tenth of a second.
    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// The version in this cell came at `at`, which is no use.
    pub(super) fn came_at(&self, at: u64) {
        self.last_used.fetch_max(at, Ordering::Relaxed);
    }

    /// The last use, if there was one since this was asked last.
    pub(super) fn take_visit(&self) -> Option<u64> {
        self.take(VISITED).then(|| self.last_used())
    }

    /// The same for the snapshot.
    pub(super) fn take_unlogged(&self) -> Option<u64> {
        self.take(UNLOGGED).then(|| self.last_used())
    }

    fn is_unlogged(&self) -> bool {
        self.uses.load(Ordering::Relaxed) & UNLOGGED != 0
    }

    fn take(&self, mark: u8) -> bool {
        self.uses.load(Ordering::Relaxed) & mark != 0
            && self.uses.fetch_and(!mark, Ordering::Relaxed) & mark != 0
    }

    /// `None` if it is not opened yet.
    fn weight(&self) -> Option<Weight> {
        let entry = &self.opened.get()?.entry;
        Some(match &entry.content {
            Content::Memory(bytes) => {
                Weight::Memory(bytes.len() as u64 + description(&entry.meta) + OVERHEAD_BYTES)
            }
            Content::File(_) | Content::Remote(_) | Content::Described(_) => Weight::File,
        })
    }
}

/// What a cell takes from which budget.
#[derive(Debug, Clone, Copy)]
enum Weight {
    Memory(u64),
    File,
}

impl Weight {
    /// In the unit of its budget.
    fn cost(self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File => 1,
        }
    }
}

/// Bytes of what a writer says about an entry: a tenant decides how long it is.
fn description(meta: &Meta) -> u64 {
    let metadata: usize = meta
        .metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    (metadata + meta.origin.subject.len() + meta.origin.issuer.len()) as u64
}

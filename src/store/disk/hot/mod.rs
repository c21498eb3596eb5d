//! Entries that can be answered at once: small bodies in memory, larger ones as open files.
//!
//! Two budgets bound them, one in bytes and one in open files. A cell that was used since it was weighed last
//! gets a second chance; the entries themselves are not touched when they go cold.

mod set;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::OnceCell;

pub(super) use set::HotSet;

use super::file::DiskFile;
use crate::store::{Content, Entry, Meta};

/// What an entry takes besides its body: description, slot of the queue.
const OVERHEAD_BYTES: u64 = 512;
/// Microseconds between two checks of the file behind an open entry.
const RECHECK_INTERVAL_US: u64 = 1_000_000;

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
    referenced: AtomicBool,
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

    pub(super) fn touch(&self) {
        // A store of the same value would still take the cache line from the other cores.
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
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

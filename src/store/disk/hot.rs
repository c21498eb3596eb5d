//! Entries that can be answered at once: small bodies in memory, larger ones as open files.
//!
//! Two budgets bound them, one in bytes and one in open files. What was used since the last look
//! gets a second chance; the entries themselves are not touched when they go cold.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::OnceCell;

use super::file::DiskFile;
use super::slab::Slab;
use crate::store::{Content, Entry, Meta};

/// Bodies up to this many bytes are held in memory; larger ones are better off in the page cache.
pub(super) const IN_MEMORY: u64 = 16 * 1024;
/// What an entry takes besides its body: description, slot of the queue.
const OVERHEAD: u64 = 512;
/// Microseconds between two looks at the file behind an open entry.
const RECHECK: u64 = 1_000_000;

/// An entry that has been opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) entry: Entry,
    /// The open file, if the body is not in memory.
    pub(super) file: Option<Arc<DiskFile>>,
    /// When the file was looked at last, in microseconds since 1970.
    checked: AtomicU64,
}

impl Opened {
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
        if now.saturating_sub(self.checked.load(Ordering::Relaxed)) < RECHECK {
            return true;
        }
        self.checked.store(now, Ordering::Relaxed);
        file.is_unchanged()
    }
}

/// Holds an entry as soon as somebody has opened it; everybody else waits for that one.
#[derive(Debug, Default)]
pub(super) struct HotCell {
    pub(super) opened: OnceCell<Arc<Opened>>,
    referenced: AtomicBool,
    /// Whether it is counted in one of the budgets. Changed under the lock of the index only.
    counted: AtomicBool,
}

impl HotCell {
    /// A cell that needs no opening.
    pub(super) fn filled(opened: Arc<Opened>) -> Arc<Self> {
        Arc::new(Self {
            opened: OnceCell::new_with(Some(opened)),
            ..Self::default()
        })
    }

    /// A cell that nobody has opened.
    pub(super) fn empty() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn touch(&self) {
        // A store of the same value would still take the cache line from the other cores.
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
    }
}

/// What a cell takes from which budget.
enum Weight {
    Memory(u64),
    File,
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

fn weight(cell: &HotCell) -> Option<Weight> {
    let entry = &cell.opened.get()?.entry;
    Some(match &entry.content {
        Content::Memory(bytes) => Weight::Memory(bytes.len() as u64 + description(&entry.meta) + OVERHEAD),
        Content::File(_) | Content::Remote(_) | Content::Described(_) => Weight::File,
    })
}

/// One budget and the order in which its cells are looked at.
#[derive(Debug)]
struct Queue {
    order: VecDeque<(u32, u64)>,
    used: u64,
    cells: usize,
    limit: u64,
}

impl Queue {
    fn new(limit: u64) -> Self {
        Self {
            order: VecDeque::new(),
            used: 0,
            cells: 0,
            limit,
        }
    }
}

/// Both budgets.
#[derive(Debug)]
pub(super) struct HotSet {
    memory: Queue,
    files: Queue,
}

impl HotSet {
    /// `memory` in bytes, `files` in open files.
    pub(super) fn new(memory: u64, files: u64) -> Self {
        Self {
            memory: Queue::new(memory),
            files: Queue::new(files),
        }
    }

    /// Cells, bytes in memory and open files.
    pub(super) fn figures(&self) -> (usize, u64, usize) {
        let cells = self.memory.cells + self.files.cells;
        (cells, self.memory.used, self.files.cells)
    }

    /// Counts the cell of a slot, and cools others down until the budget holds.
    pub(super) fn admit(&mut self, slab: &mut Slab, id: u32, garbage: &mut Vec<Arc<HotCell>>) {
        let slot = slab.get(id);
        let Some(cell) = &slot.hot else { return };
        let Some(weight) = weight(cell) else { return };
        if cell.counted.swap(true, Ordering::Relaxed) {
            return;
        }
        let (queue, weight) = self.queue(weight);
        queue.order.push_back((id, slot.generation));
        queue.used += weight;
        queue.cells += 1;
        queue.shrink(slab, garbage);
    }

    /// No longer counts a cell that has left its slot.
    pub(super) fn forget(&mut self, cell: &HotCell) {
        if !cell.counted.swap(false, Ordering::Relaxed) {
            return;
        }
        let Some(weight) = weight(cell) else { return };
        let (queue, weight) = self.queue(weight);
        queue.used -= weight;
        queue.cells -= 1;
    }

    /// Closes about half of the open files: the process has run out of them.
    pub(super) fn shed_files(&mut self, slab: &mut Slab, garbage: &mut Vec<Arc<HotCell>>) {
        let limit = std::mem::replace(&mut self.files.limit, self.files.used / 2);
        self.files.shrink(slab, garbage);
        self.files.limit = limit;
    }

    fn queue(&mut self, weight: Weight) -> (&mut Queue, u64) {
        match weight {
            Weight::Memory(bytes) => (&mut self.memory, bytes),
            Weight::File => (&mut self.files, 1),
        }
    }
}

impl Queue {
    fn shrink(&mut self, slab: &mut Slab, garbage: &mut Vec<Arc<HotCell>>) {
        while self.used > self.limit {
            let Some((id, generation)) = self.order.pop_front() else {
                break;
            };
            let slot = slab.get_mut(id);
            let counted = |cell: &Arc<HotCell>| cell.counted.load(Ordering::Relaxed);
            if slot.generation != generation || !slot.hot.as_ref().is_some_and(counted) {
                continue;
            }
            if slot
                .hot
                .as_ref()
                .is_some_and(|cell| cell.referenced.swap(false, Ordering::Relaxed))
            {
                self.order.push_back((id, generation));
                continue;
            }
            let Some(cell) = slot.hot.take() else { continue };
            cell.counted.store(false, Ordering::Relaxed);
            self.cells -= 1;
            self.used -= match weight(&cell) {
                Some(Weight::Memory(bytes)) => bytes,
                Some(Weight::File) => 1,
                None => 0,
            };
            garbage.push(cell);
        }
        // Cells that left by themselves stay behind in the queue; it must not grow with them.
        if self.order.len() > 2 * self.cells + 64 {
            self.order.retain(|(id, generation)| {
                let slot = slab.get(*id);
                slot.generation == *generation && slot.hot.is_some()
            });
        }
    }
}

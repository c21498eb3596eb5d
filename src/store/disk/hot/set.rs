//! The two budgets of what is hot.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{HotCell, HotTable, REFERENCED, Weight};
use crate::store::Digest;
use crate::store::disk::slab::Slab;

/// What left its slot because a budget is used up.
#[derive(Debug, Default)]
pub(in crate::store::disk) struct Cooled {
    /// Dropping them may close files.
    pub(in crate::store::disk) cells: Vec<Arc<HotCell>>,
    /// Slots whose entries were used since somebody asked, and when.
    pub(in crate::store::disk) used: Vec<(u32, u64)>,
}

/// One budget and the order in which its cells are weighed.
#[derive(Debug)]
struct HotQueue {
    order: VecDeque<(u32, u64)>,
    used: u64,
    cells: usize,
    limit: u64,
}

impl HotQueue {
    fn new(limit: u64) -> Self {
        Self {
            order: VecDeque::new(),
            used: 0,
            cells: 0,
            limit,
        }
    }

    fn shrink(&mut self, slab: &mut Slab, table: &HotTable, cooled: &mut Cooled) {
        while self.used > self.limit {
            let Some((id, generation)) = self.order.pop_front() else {
                break;
            };
            let slot = slab.get_mut(id);
            let counted = |cell: &Arc<HotCell>| cell.counted.load(Ordering::Relaxed);
            if slot.generation != generation || !slot.hot.as_ref().is_some_and(counted) {
                continue;
            }
            let unused = |cell: &mut Arc<HotCell>| !cell.take(REFERENCED);
            let Some(cell) = slot.hot.take_if(unused) else {
                self.order.push_back((id, generation));
                continue;
            };
            cell.counted.store(false, Ordering::Relaxed);
            table.remove(&slot.digest, generation);
            self.cells -= 1;
            self.used -= cell.weight().map_or(0, Weight::cost);
            cooled.used.extend(cell.take_visit().map(|at| (id, at)));
            cooled.cells.push(cell);
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

/// Both budgets.
#[derive(Debug)]
pub(in crate::store::disk) struct HotSet {
    memory: HotQueue,
    files: HotQueue,
    /// Has the cells that are counted.
    table: Arc<HotTable>,
}

impl HotSet {
    /// `memory` in bytes, `files` in open files.
    pub(in crate::store::disk) fn new(memory: u64, files: u64) -> Self {
        Self {
            memory: HotQueue::new(memory),
            files: HotQueue::new(files),
            table: Arc::default(),
        }
    }

    /// Where the cells that are counted are found.
    pub(in crate::store::disk) fn table(&self) -> &Arc<HotTable> {
        &self.table
    }

    /// Cells, bytes in memory and open files.
    pub(in crate::store::disk) fn figures(&self) -> (usize, u64, usize) {
        let cells = self.memory.cells + self.files.cells;
        (cells, self.memory.used, self.files.cells)
    }

    /// Counts the cell of a slot, and cools others down until the budget holds.
    pub(in crate::store::disk) fn admit(&mut self, slab: &mut Slab, id: u32, cooled: &mut Cooled) {
        let slot = slab.get(id);
        let Some(cell) = &slot.hot else { return };
        let Some(weight) = cell.weight() else { return };
        if cell.counted.swap(true, Ordering::Relaxed) {
            return;
        }
        self.table.insert(slot.digest, slot.generation, cell);
        let table = Arc::clone(&self.table);
        let queue = self.queue(weight);
        queue.order.push_back((id, slot.generation));
        queue.used += weight.cost();
        queue.cells += 1;
        queue.shrink(slab, &table, cooled);
    }

    /// No longer counts the cell of a version, which has left its slot.
    pub(in crate::store::disk) fn forget(&mut self, digest: &Digest, generation: u64, cell: &HotCell) {
        if !cell.counted.swap(false, Ordering::Relaxed) {
            return;
        }
        self.table.remove(digest, generation);
        let Some(weight) = cell.weight() else { return };
        let queue = self.queue(weight);
        queue.used -= weight.cost();
        queue.cells -= 1;
    }

    /// Closes about half of the open files: the process has run out of them.
    pub(in crate::store::disk) fn shed_files(&mut self, slab: &mut Slab, cooled: &mut Cooled) {
        let limit = std::mem::replace(&mut self.files.limit, self.files.used / 2);
        self.files.shrink(slab, &self.table, cooled);
        self.files.limit = limit;
    }

    fn queue(&mut self, weight: Weight) -> &mut HotQueue {
        match weight {
            Weight::Memory(_) => &mut self.memory,
            Weight::File => &mut self.files,
        }
    }
}

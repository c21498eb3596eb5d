//! Start and snapshot: what earlier runs left.

use super::{FileRecord, Index, ListKind, ScanOutcome, Slot};
use crate::store::budget::BLOCK_BYTES;

impl Index {
    /// Adds a record of the snapshot as the one used last; records come ordered by last use.
    /// Answers whether it was new.
    pub(in crate::store::disk) fn restore(&mut self, record: &FileRecord) -> bool {
        // Stamps of this run follow those of earlier ones, even if their clock was ahead.
        self.clock = self.clock.max(record.stamp);
        match self.find(&record.digest) {
            Some(_) => false,
            None => self.insert(record).is_some(),
        }
    }

    /// Takes a file that the scan found.
    pub(in crate::store::disk) fn found(&mut self, file: &FileRecord) -> ScanOutcome {
        if self.retiring.contains_key(&file.generation) {
            return ScanOutcome::Retiring;
        }
        let Some(id) = self.find(&file.digest) else {
            return self.found_new(file);
        };
        let slot = self.slab.get_mut(id);
        let grown = (i64::from(file.blocks) - i64::from(slot.blocks)) * BLOCK_BYTES as i64;
        match slot.generation.cmp(&file.generation) {
            std::cmp::Ordering::Greater => ScanOutcome::Older,
            std::cmp::Ordering::Equal => {
                slot.seen = true;
                self.resize(id, file.blocks);
                ScanOutcome::Known(grown)
            }
            std::cmp::Ordering::Less => {
                let former = self.replace(id, file).generation;
                self.retiring.remove(&former);
                self.changes += 1;
                match std::mem::replace(&mut self.slab.get_mut(id).seen, true) {
                    true => ScanOutcome::Replaced(grown, former),
                    // Only a record: if there is a file of it, the scan will meet it as an older one.
                    false => ScanOutcome::Added(grown),
                }
            }
        }
    }

    fn found_new(&mut self, file: &FileRecord) -> ScanOutcome {
        let Some(id) = self.insert(file) else {
            return ScanOutcome::Older;
        };
        if self.slab.get(id).list == ListKind::Used {
            self.unlink(id);
            self.link(id, ListKind::Found);
        }
        self.slab.get_mut(id).seen = true;
        self.changes += 1;
        ScanOutcome::Added(i64::from(file.blocks) * BLOCK_BYTES as i64)
    }

    /// Collects stamp and slot of the found entries among the slots `from..from + most`; `false` after
    /// the last one.
    pub(in crate::store::disk) fn list_found(
        &self,
        from: usize,
        most: usize,
        found: &mut Vec<(u64, u32)>,
    ) -> bool {
        let waiting = self
            .slots(from, most)
            .filter(|(_, slot)| slot.list == ListKind::Found);
        found.extend(waiting.map(|(id, slot)| (slot.stamp, id)));
        from + most < self.slab.end()
    }

    /// Makes these entries the ones of the list of found ones that are evicted last, the last of them
    /// last of all. Those that were used, replaced or removed since they were collected stay where they are.
    pub(in crate::store::disk) fn order_found(&mut self, sorted: &[(u64, u32)]) {
        for (stamp, id) in sorted {
            let slot = self.slab.get(*id);
            if slot.generation != 0 && slot.list == ListKind::Found && slot.stamp == *stamp {
                self.unlink(*id);
                self.link(*id, ListKind::Found);
            }
        }
    }

    /// Removes records of the slots `from..from + most` whose files the scan did not meet.
    pub(in crate::store::disk) fn sweep(&mut self, from: usize, most: usize) -> Vec<FileRecord> {
        let unseen = self.slots(from, most).filter(|(_, slot)| !slot.seen);
        let unseen: Vec<u32> = unseen.map(|(id, _)| id).collect();
        unseen.into_iter().map(|id| self.take(id)).collect()
    }

    /// Visits the records of the slots `from..from + most`; `false` after the last one.
    pub(in crate::store::disk) fn records(
        &self,
        from: usize,
        most: usize,
        mut visit: impl FnMut(FileRecord),
    ) -> bool {
        self.slots(from, most).for_each(|(_, slot)| visit(slot.into()));
        from + most < self.slab.end()
    }

    /// The entries in the slots `from..from + most`.
    fn slots(&self, from: usize, most: usize) -> impl Iterator<Item = (u32, &Slot)> {
        let ids = from..self.slab.end().min(from + most);
        let slots = ids.map(|id| (id as u32, self.slab.get(id as u32)));
        slots.filter(|(_, slot)| slot.generation != 0)
    }
}

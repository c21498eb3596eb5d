//! Start and snapshot: what earlier runs left.

use super::{FileRecord, Index, ListKind, Logged, ScanOutcome, Slot};
use crate::store::Digest;
use crate::store::budget::BLOCK_BYTES;

impl Index {
    /// Takes a row of the snapshot; a later row overrules an earlier one, and nothing that this run knows by itself.
    /// Answers how many bytes more the entries take.
    pub(in crate::store::disk) fn restore(&mut self, row: &FileRecord) -> i64 {
        let Some(id) = self.find(&row.digest) else {
            return self.restore_new(row);
        };
        if !self.is_row(id) {
            return self.restore_order(row);
        }
        let slot = self.slab.get_mut(id);
        let grown = (i64::from(row.blocks) - i64::from(slot.blocks)) * BLOCK_BYTES as i64;
        (slot.generation, slot.stamp) = (row.generation, row.stamp);
        self.clock = self.clock.max(row.stamp);
        self.resize(id, row.blocks);
        self.move_to_row(id, row);
        grown
    }

    /// Takes only the time of the last use from a row of the snapshot. The entry takes no bytes more.
    pub(in crate::store::disk) fn restore_order(&mut self, row: &FileRecord) -> i64 {
        self.clock = self.clock.max(row.stamp);
        if let Some(id) = self.find(&row.digest) {
            let slot = self.slab.get_mut(id);
            if slot.generation == row.generation && slot.list == ListKind::Found {
                slot.stamp = row.stamp;
                // A scan was faster than the reading of its row.
                slot.logged = Logged::Yes;
                self.move_to_row(id, row);
            }
        }
        0
    }

    /// The snapshot says that versions up to `generation` are gone. Answers how many bytes more the entries take.
    pub(in crate::store::disk) fn restore_gone(&mut self, digest: &Digest, generation: u64) -> i64 {
        match self.find(digest) {
            Some(id) if self.is_row(id) && self.slab.get(id).generation <= generation => {
                -(self.drop_slot(id).bytes() as i64)
            }
            _ => 0,
        }
    }

    /// Whom an entry belongs to, as its row has it.
    fn move_to_row(&mut self, id: u32, row: &FileRecord) {
        if row.belongs.is_some() && self.slab.get(id).belongs != row.belongs {
            self.move_to(id, row.belongs);
        }
    }

    fn restore_new(&mut self, row: &FileRecord) -> i64 {
        // Stamps of this run follow those of earlier ones, even if their clock was ahead.
        self.clock = self.clock.max(row.stamp);
        match self.insert(row, Logged::Yes, ListKind::Restored, None) {
            Some(_) => row.bytes() as i64,
            None => 0,
        }
    }

    /// Whether all that is known of an entry are rows of the snapshot.
    fn is_row(&self, id: u32) -> bool {
        let slot = self.slab.get(id);
        !slot.seen && slot.hot.is_none() && matches!(slot.list, ListKind::Restored | ListKind::Pinned)
    }

    /// Takes a file that a folder lists. `false` if this version is not known: its size has to be looked at.
    pub(in crate::store::disk) fn meet(&mut self, digest: &Digest, generation: u64) -> bool {
        let Some(id) = self.find(digest) else { return false };
        let slot = self.slab.get_mut(id);
        let is_known = slot.generation == generation;
        slot.seen |= is_known;
        is_known
    }

    /// Takes a file that the scan found.
    pub(in crate::store::disk) fn found(&mut self, file: &FileRecord) -> ScanOutcome {
        if self.retiring.get(&file.generation) == Some(&file.digest) {
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
                if grown != 0 {
                    self.outdate(id);
                }
                ScanOutcome::Known(grown)
            }
            std::cmp::Ordering::Less => {
                let former = self.replace(id, file, None).generation;
                self.retiring.remove(&former);
                match std::mem::replace(&mut self.slab.get_mut(id).seen, true) {
                    true => ScanOutcome::Replaced(grown, former),
                    // Only a record: if there is a file of it, the scan will meet it as an older one.
                    false => ScanOutcome::Added(grown),
                }
            }
        }
    }

    fn found_new(&mut self, file: &FileRecord) -> ScanOutcome {
        let Some(id) = self.insert(file, Logged::No, ListKind::Found, None) else {
            return ScanOutcome::Older;
        };
        self.slab.get_mut(id).seen = true;
        ScanOutcome::Added(i64::from(file.blocks) * BLOCK_BYTES as i64)
    }

    /// Collects stamp and slot of the entries of a list among the slots `from..from + most`; `false` after the last
    /// one.
    pub(in crate::store::disk) fn list_slots(
        &self,
        list: ListKind,
        from: usize,
        most: usize,
        slots: &mut Vec<(u64, u32)>,
    ) -> bool {
        let waiting = self.slots(from, most).filter(|(_, slot)| slot.list == list);
        slots.extend(waiting.map(|(id, slot)| (slot.stamp, id)));
        from + most < self.slab.end()
    }

    /// Makes these entries the ones of a list that are evicted last, the last of them last of all. Those that were
    /// moved, replaced or removed since they were collected stay where they are.
    pub(in crate::store::disk) fn order(&mut self, list: ListKind, sorted: &[(u64, u32)]) {
        for (stamp, id) in sorted {
            let slot = self.slab.get(*id);
            if slot.generation != 0 && slot.list == list && slot.stamp == *stamp {
                self.unlink(*id);
                self.link(*id, list);
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
    pub(super) fn slots(&self, from: usize, most: usize) -> impl Iterator<Item = (u32, &Slot)> {
        let ids = from..self.slab.end().min(from + most);
        let slots = ids.map(|id| (id as u32, self.slab.get(id as u32)));
        slots.filter(|(_, slot)| slot.generation != 0)
    }
}

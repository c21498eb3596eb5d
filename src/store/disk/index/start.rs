//! Start and snapshot: what earlier runs left.

use super::{Found, Index, ListKind, NONE, Record, Retired};

impl Index {
    /// Adds a record of the snapshot as the one used last; records come ordered by last use.
    /// Answers whether it was new.
    pub(in crate::store::disk) fn restore(&mut self, record: &Record) -> bool {
        // Stamps of this run follow those of earlier ones, even if their clock was ahead.
        self.clock = self.clock.max(record.stamp);
        match self.find(&record.digest) {
            Some(_) => false,
            None => self.insert(record).is_some(),
        }
    }

    /// Takes a file that the scan found.
    pub(in crate::store::disk) fn found(&mut self, file: &Record) -> Found {
        if self.retiring.contains_key(&file.generation) {
            return Found::Retiring;
        }
        let Some(id) = self.find(&file.digest) else {
            return self.found_new(file);
        };
        let slot = self.slab.get_mut(id);
        let grown = (i64::from(file.blocks) - i64::from(slot.blocks)) * crate::store::budget::BLOCK as i64;
        match slot.generation.cmp(&file.generation) {
            std::cmp::Ordering::Greater => Found::Older,
            std::cmp::Ordering::Equal => {
                slot.seen = true;
                if slot.list == ListKind::Pinned {
                    self.pinned_blocks += u64::from(file.blocks);
                    self.pinned_blocks -= u64::from(slot.blocks);
                }
                slot.blocks = file.blocks;
                Found::Known(grown)
            }
            std::cmp::Ordering::Less => {
                let former = self.replace(id, file).generation;
                self.retiring.remove(&former);
                self.changes += 1;
                match std::mem::replace(&mut self.slab.get_mut(id).seen, true) {
                    true => Found::Replaced(grown, former),
                    // Only a record: if there is a file of it, the scan will meet it as an older one.
                    false => Found::Added(grown),
                }
            }
        }
    }

    fn found_new(&mut self, file: &Record) -> Found {
        let Some(id) = self.insert(file) else {
            return Found::Older;
        };
        if self.slab.get(id).list == ListKind::Used {
            self.unlink(id);
            self.link(id, ListKind::Found);
        }
        self.slab.get_mut(id).seen = true;
        self.changes += 1;
        Found::Added(i64::from(file.blocks) * crate::store::budget::BLOCK as i64)
    }

    /// Gives found entries their place in the order of use. One pass, once after a start.
    pub(in crate::store::disk) fn order_found(&mut self) {
        let mut found = Vec::new();
        while let Some(id) = self.found.front() {
            self.found.unlink(&mut self.slab, id);
            found.push((self.slab.get(id).stamp, id));
        }
        found.sort_unstable();
        // The oldest entries are at the back: walk forward from there, as both are ordered.
        let mut older = self.used.back().unwrap_or(NONE);
        for (stamp, id) in found {
            while older != NONE && self.slab.get(older).stamp <= stamp {
                older = self.slab.get(older).prev;
            }
            // `older` is used later than `id`; it belongs behind it.
            let next = match older {
                NONE => self.used.front().unwrap_or(NONE),
                newer => self.slab.get(newer).next,
            };
            self.used.insert_before(&mut self.slab, id, next);
            self.slab.get_mut(id).list = ListKind::Used;
        }
    }

    /// Removes records of the slots `from..from + most` whose files the scan did not meet.
    pub(in crate::store::disk) fn sweep(&mut self, from: usize, most: usize) -> Vec<Retired> {
        let mut gone = Vec::new();
        for id in from..self.slab.end().min(from + most) {
            let slot = self.slab.get(id as u32);
            if slot.generation != 0 && !slot.seen {
                gone.push(self.take(id as u32));
            }
        }
        gone
    }

    /// Visits the records of the slots `from..from + most`; `false` after the last one.
    pub(in crate::store::disk) fn records(
        &self,
        from: usize,
        most: usize,
        mut visit: impl FnMut(Record),
    ) -> bool {
        let end = self.slab.end();
        for id in from..end.min(from + most) {
            let slot = self.slab.get(id as u32);
            if slot.generation != 0 {
                visit(Record {
                    digest: slot.digest,
                    generation: slot.generation,
                    stamp: slot.stamp,
                    blocks: slot.blocks,
                });
            }
        }
        from + most < end
    }
}

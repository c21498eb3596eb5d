//! What the snapshot does not have yet.

use super::{FileRecord, Index};
use crate::store::Digest;
use crate::store::disk::slab::Logged;

/// What changed since the last look. Slots say what is in them when they are asked.
#[derive(Debug, Default)]
pub(in crate::store::disk) struct IndexChanges {
    /// Slots of entries that were added, or whose use was noted.
    pub(in crate::store::disk) slots: Vec<u32>,
    /// Entries that were removed: all versions up to this one.
    pub(in crate::store::disk) gone: Vec<(Digest, u64)>,
}

impl Index {
    pub(in crate::store::disk) fn has_changes(&self) -> bool {
        !self.changes.slots.is_empty() || !self.changes.gone.is_empty()
    }

    /// Takes the changes; whoever takes them writes them.
    pub(in crate::store::disk) fn take_changes(&mut self) -> IndexChanges {
        std::mem::take(&mut self.changes)
    }

    /// Visits those of the entries in `slots` that the snapshot does not have as they are; from now on it does.
    pub(in crate::store::disk) fn changed(&mut self, slots: &[u32], mut visit: impl FnMut(FileRecord)) {
        for id in slots {
            let slot = self.slab.get_mut(*id);
            // A slot that was freed may hold another entry by now, and be named twice.
            if slot.generation != 0 && slot.logged != Logged::Yes {
                slot.logged = Logged::Yes;
                visit(FileRecord::from(&*slot));
            }
        }
    }

    /// Visits the entries in the slots `from..from + most`; from now on the snapshot has them as they are.
    /// `false` after the last one.
    pub(in crate::store::disk) fn all_as_logged(
        &mut self,
        from: usize,
        most: usize,
        mut visit: impl FnMut(FileRecord),
    ) -> bool {
        for id in from..self.slab.end().min(from + most) {
            let slot = self.slab.get_mut(id as u32);
            if slot.generation != 0 {
                slot.logged = Logged::Yes;
                visit(FileRecord::from(&*slot));
            }
        }
        from + most < self.slab.end()
    }

    /// The entry in this slot is not any more what the snapshot has.
    pub(super) fn outdate(&mut self, id: u32) {
        let slot = self.slab.get_mut(id);
        if slot.logged == Logged::Yes {
            slot.logged = Logged::Outdated;
            self.changes.slots.push(id);
        }
    }

    /// An entry has left its slot.
    pub(super) fn log_removal(&mut self, logged: Logged, digest: Digest, generation: u64) {
        if logged != Logged::No {
            self.changes.gone.push((digest, generation));
        }
    }
}

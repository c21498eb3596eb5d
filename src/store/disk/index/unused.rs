//! Entries that nobody used for as long as a rule allows (`expire_after_unused`).

use super::{FileRecord, Index, ListKind, Slot};
use crate::store::Digest;
use crate::store::shares::{EvictionCause, ShareTable};

impl Index {
    /// Takes the entry under `digest` if it is one of these at `now`, in microseconds since 1970. Its file is retiring.
    pub(in crate::store::disk) fn take_unused(&mut self, digest: &Digest, now: u64) -> Option<FileRecord> {
        let id = self.find(digest)?;
        let is_unused = is_unused(&mut self.shares.table(), self.slab.get(id), now);
        is_unused.then(|| self.take_victim(id, EvictionCause::Unused))
    }

    /// The same of all in the slots `from..from + most`; `false` after the last one.
    pub(in crate::store::disk) fn take_all_unused(
        &mut self,
        (from, most): (usize, usize),
        now: u64,
        victims: &mut Vec<(FileRecord, EvictionCause)>,
    ) -> bool {
        // Taking one asks the table as well.
        let mut shares = self.shares.table();
        let unused = self.slots(from, most);
        let unused = unused.filter(|(_, slot)| is_unused(&mut shares, slot, now));
        let unused: Vec<u32> = unused.map(|(id, _)| id).collect();
        drop(shares);
        let cause = EvictionCause::Unused;
        let taken = unused.into_iter().map(|id| (self.take_victim(id, cause), cause));
        victims.extend(taken);
        from + most < self.slab.end()
    }

    /// The version under `digest`, if nobody has read yet whom it belongs to.
    pub(in crate::store::disk) fn unread_generation(&self, digest: &Digest) -> Option<u64> {
        let slot = self.slab.get(self.find(digest)?);
        slot.belongs.is_none().then_some(slot.generation)
    }
}

/// What is pinned stays: another tier does not have it yet.
fn is_unused(shares: &mut ShareTable, slot: &Slot, now: u64) -> bool {
    let Some(belongs) = slot.belongs.filter(|_| slot.list != ListKind::Pinned) else {
        return false;
    };
    let most = shares.limits(belongs.tenant).expire_after_unused;
    most.is_some_and(|most| u128::from(now.saturating_sub(slot.last_used())) >= most.as_micros())
}

//! Which list an entry stands in, for whom it counts, and pins.

use super::{Index, List, ListKind, Slab, Slot};
use crate::store::Digest;
use crate::store::shares::{NumberedTenancy, Place, ReservedBytes, ShareTable, TenantNumber, Victim};

/// For whom and as what an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    tenant: TenantNumber,
    place: Place,
    bytes: u64,
    /// Nobody has read yet whom it belongs to.
    unread: bool,
}

impl Counted {
    fn pinned_bytes(&self) -> u64 {
        match self.place {
            Place::Pinned => self.bytes,
            Place::Rank(_) => 0,
        }
    }
}

impl From<&Slot> for Counted {
    fn from(slot: &Slot) -> Self {
        Self {
            tenant: slot.tenancy().tenant,
            place: slot.place(),
            bytes: slot.bytes(),
            unread: slot.belongs.is_none(),
        }
    }
}

impl Index {
    /// Keeps whatever is under `digest` from being evicted, now and later.
    pub(in crate::store::disk) fn pin(&mut self, digest: &Digest) {
        if self.pins.insert(*digest) {
            self.move_home(digest);
        }
    }

    /// Ends [`Index::pin`]; the entry becomes the one used last.
    pub(in crate::store::disk) fn unpin(&mut self, digest: &Digest) {
        if self.pins.remove(digest) {
            self.move_home(digest);
        }
    }

    /// Bytes that pinned entries take.
    pub(in crate::store::disk) fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes
    }

    fn move_home(&mut self, digest: &Digest) {
        let Some(id) = self.find(digest) else { return };
        let (stamp, home) = (self.slab.get(id).stamp, self.home(digest));
        self.recount(id, None, |index| {
            index.unlink(id);
            index.link(id, home);
        });
        if home == ListKind::Used {
            self.make_newest(id, stamp);
        }
    }

    /// The list in which an entry belongs that was just used.
    pub(super) fn home(&self, digest: &Digest) -> ListKind {
        match self.pins.contains(digest) {
            true => ListKind::Pinned,
            false => ListKind::Used,
        }
    }

    fn list(&mut self, tenancy: NumberedTenancy, kind: ListKind) -> (&mut List, &mut Slab) {
        let list = self.lists.list(tenancy, kind).unwrap_or(&mut self.pinned);
        (list, &mut self.slab)
    }

    pub(super) fn link(&mut self, id: u32, kind: ListKind) {
        let tenancy = self.slab.get(id).tenancy();
        let (list, slab) = self.list(tenancy, kind);
        list.push_front(slab, id);
        self.slab.get_mut(id).list = kind;
    }

    pub(super) fn unlink(&mut self, id: u32) {
        let slot = self.slab.get(id);
        let (tenancy, kind) = (slot.tenancy(), slot.list);
        let (list, slab) = self.list(tenancy, kind);
        list.unlink(slab, id);
    }

    /// The entry counts for its tenant from now on, and `reserved` does not: that has become the entry.
    pub(super) fn count(&mut self, id: u32, reserved: Option<ReservedBytes>) {
        let new = Counted::from(self.slab.get(id));
        self.swap(None, Some(new), reserved);
    }

    /// The entry does not count any more.
    pub(super) fn uncount(&mut self, id: u32) {
        let old = Counted::from(self.slab.get(id));
        self.swap(Some(old), None, None);
    }

    /// Changes an entry, and for whom and as what it counts.
    pub(super) fn recount(
        &mut self,
        id: u32,
        reserved: Option<ReservedBytes>,
        change: impl FnOnce(&mut Self),
    ) {
        let old = Counted::from(self.slab.get(id));
        change(self);
        let new = Counted::from(self.slab.get(id));
        if old != new || reserved.is_some() {
            self.swap(Some(old), Some(new), reserved);
        }
    }

    fn swap(&mut self, old: Option<Counted>, new: Option<Counted>, reserved: Option<ReservedBytes>) {
        let mut shares = self.shares.table();
        // The new one first: a tenant that holds nothing loses its number.
        if let Some(new) = new {
            self.unread += usize::from(new.unread);
            self.pinned_bytes += new.pinned_bytes();
            shares.add_entry(new.tenant, new.place, new.bytes);
        }
        if let Some(reserved) = reserved {
            shares.release(reserved.tenant, reserved.bytes);
        }
        if let Some(old) = old {
            self.unread -= usize::from(old.unread);
            self.pinned_bytes -= old.pinned_bytes();
            shares.remove_entry(old.tenant, old.place, old.bytes);
        }
    }

    /// The file of an entry takes another number of blocks.
    pub(super) fn resize(&mut self, id: u32, blocks: u32) {
        self.recount(id, None, |index| index.slab.get_mut(id).blocks = blocks);
    }

    /// Whom this version of an entry belongs to was read.
    pub(in crate::store::disk) fn assign(&mut self, digest: &Digest, generation: u64, to: NumberedTenancy) {
        let Some(id) = self.find(digest) else { return };
        let slot = self.slab.get(id);
        if slot.generation == generation && slot.belongs != Some(to) {
            self.move_to(id, Some(to));
            self.outdate(id);
        }
    }

    /// An entry is another tenant's from now on: the newest one of the same kind.
    pub(super) fn move_to(&mut self, id: u32, to: Option<NumberedTenancy>) {
        let stays = self.slab.get(id).tenancy() == to.unwrap_or(NumberedTenancy::UNKNOWN);
        self.recount(id, None, |index| match stays {
            true => index.slab.get_mut(id).belongs = to,
            false => index.relink(id, |slot| slot.belongs = to),
        });
    }

    /// Changes an entry and puts it to the front of the list in which it belongs then.
    pub(super) fn relink(&mut self, id: u32, change: impl FnOnce(&mut Slot)) {
        let kind = self.slab.get(id).list;
        self.unlink(id);
        change(self.slab.get_mut(id));
        self.link(id, kind);
    }

    /// Entries of which nobody has read yet whom they belong to.
    pub(in crate::store::disk) fn unread(&self) -> usize {
        self.unread
    }

    /// Collects stamp and slot of these among the slots `from..from + most`; `false` after the last one.
    pub(in crate::store::disk) fn unread_slots(
        &self,
        from: usize,
        most: usize,
        slots: &mut Vec<(u64, u32)>,
    ) -> bool {
        let unread = self.slots(from, most).filter(|(_, slot)| slot.belongs.is_none());
        slots.extend(unread.map(|(id, slot)| (slot.stamp, id)));
        from + most < self.slab.end()
    }

    /// The entry whose turn it is to be evicted, if it is one of these: digest and generation.
    pub(in crate::store::disk) fn unread_victim(
        &self,
        choose: impl FnOnce(&mut ShareTable) -> Option<Victim>,
    ) -> Option<(Digest, u64)> {
        let victim = choose(&mut self.shares.table())?;
        let id = self.lists.oldest(victim.whose, &self.slab)?;
        self.unread_version(id)
    }

    /// The version in a slot, if it is one of these still.
    pub(in crate::store::disk) fn unread_version(&self, id: u32) -> Option<(Digest, u64)> {
        let slot = self.slab.get(id);
        (slot.generation != 0 && slot.belongs.is_none()).then_some((slot.digest, slot.generation))
    }
}

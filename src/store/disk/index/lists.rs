//! Which list an entry stands in, and pins.

use super::{Index, List, ListKind, Slab};
use crate::store::Digest;

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

    /// Blocks of 4 KiB that pinned entries take.
    pub(in crate::store::disk) fn pinned_blocks(&self) -> u64 {
        self.pinned_blocks
    }

    fn move_home(&mut self, digest: &Digest) {
        let Some(id) = self.find(digest) else { return };
        let stamp = self.slab.get(id).stamp;
        self.unlink(id);
        let home = self.home(digest);
        self.link(id, home);
        if home == ListKind::Used {
            // The list is ordered by stamps.
            self.touch(id, stamp);
        }
    }

    /// The list in which an entry belongs that was just used.
    pub(super) fn home(&self, digest: &Digest) -> ListKind {
        match self.pins.contains(digest) {
            true => ListKind::Pinned,
            false => ListKind::Used,
        }
    }

    fn list(&mut self, kind: ListKind) -> (&mut List, &mut Slab) {
        let list = match kind {
            ListKind::Used => &mut self.used,
            ListKind::Restored => &mut self.restored,
            ListKind::Found => &mut self.found,
            ListKind::Pinned => &mut self.pinned,
        };
        (list, &mut self.slab)
    }

    pub(super) fn link(&mut self, id: u32, kind: ListKind) {
        let (list, slab) = self.list(kind);
        list.push_front(slab, id);
        let slot = self.slab.get_mut(id);
        slot.list = kind;
        if kind == ListKind::Pinned {
            self.pinned_blocks += u64::from(slot.blocks);
        }
    }

    pub(super) fn unlink(&mut self, id: u32) {
        let slot = self.slab.get(id);
        let kind = slot.list;
        if kind == ListKind::Pinned {
            self.pinned_blocks -= u64::from(slot.blocks);
        }
        let (list, slab) = self.list(kind);
        list.unlink(slab, id);
    }

    /// The file of an entry takes another number of blocks.
    pub(super) fn resize(&mut self, id: u32, blocks: u32) {
        let slot = self.slab.get_mut(id);
        let before = std::mem::replace(&mut slot.blocks, blocks);
        if slot.list == ListKind::Pinned {
            self.pinned_blocks += u64::from(blocks);
            self.pinned_blocks -= u64::from(before);
        }
    }
}

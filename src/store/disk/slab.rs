//! The slots of the index, in pages that never move: growing copies nothing. Lists run through them.

use std::sync::Arc;

use super::hot::HotCell;
use crate::store::Digest;
use crate::store::budget::BLOCK_BYTES;
use crate::store::shares::{NumberedTenancy, Place};

/// No slot.
pub(super) const NONE: u32 = u32::MAX;
/// Slots per page.
const SLOTS_PER_PAGE: usize = 4096;

/// What the index knows about an entry.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) digest: Digest,
    /// Names the file of this version of the entry; 0 in a free slot.
    pub(super) generation: u64,
    /// Last use, in microseconds since 1970. The cell may know a later one.
    pub(super) stamp: u64,
    /// Blocks of 4 KiB that the file takes.
    pub(super) blocks: u32,
    pub(super) prev: u32,
    pub(super) next: u32,
    /// Whom it belongs to; `None` if nobody has read that yet.
    pub(super) belongs: Option<NumberedTenancy>,
    /// The file is known to exist, not only the record of it in the snapshot.
    pub(super) seen: bool,
    /// Written or checked by this process.
    pub(super) trusted: bool,
    /// The list that it stands in.
    pub(super) list: ListKind,
    /// What the snapshot has of it.
    pub(super) logged: Logged,
    pub(super) hot: Option<Arc<HotCell>>,
}

impl Slot {
    /// Whose lists it stands in.
    pub(super) fn tenancy(&self) -> NumberedTenancy {
        self.belongs.unwrap_or(NumberedTenancy::UNKNOWN)
    }

    /// Bytes that the file takes.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.blocks) * BLOCK_BYTES
    }

    /// When it was used last, in microseconds since 1970, to within a tenth of a second.
    pub(super) fn last_used(&self) -> u64 {
        let known = self.hot.as_ref().map_or(0, |cell| cell.last_used());
        self.stamp.max(known)
    }

    /// As what it counts for that tenant.
    pub(super) fn place(&self) -> Place {
        match self.list {
            ListKind::Pinned => Place::Pinned,
            ListKind::Used | ListKind::Restored | ListKind::Found => Place::Rank(self.tenancy().rank),
        }
    }
}

/// The lists of the index: one of pinned entries, and one of each other kind for each tenant and rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListKind {
    /// What was written in this run, or got another round in it.
    Used,
    /// Rows of the snapshot; ordered by last use once all are read.
    Restored,
    /// Found files; ordered by their times once all are found.
    Found,
    /// Entries that must not be evicted.
    Pinned,
}

/// Whether the snapshot has what a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logged {
    /// It has nothing of this entry; the slot is among the changes.
    No,
    /// It has all.
    Yes,
    /// It has something older; the slot is among the changes.
    Outdated,
}

/// Slots by number.
#[derive(Debug)]
pub(super) struct Slab {
    pages: Vec<Vec<Slot>>,
    free: u32,
}

impl Slab {
    pub(super) fn new() -> Self {
        Self {
            pages: Vec::new(),
            free: NONE,
        }
    }

    /// Takes a free slot. `None` after 2^32 - 1 of them: the volume would hold 16 TiB of the
    /// smallest entries.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<u32> {
        if self.free != NONE {
            let id = self.free;
            self.free = self.get(id).next;
            *self.get_mut(id) = slot;
            return Some(id);
        }
        if self.pages.last().is_none_or(|page| page.len() == SLOTS_PER_PAGE) {
            self.pages.push(Vec::with_capacity(SLOTS_PER_PAGE));
        }
        let id = u32::try_from(self.end() as u64).ok().filter(|id| *id != NONE)?;
        self.pages.last_mut()?.push(slot);
        Some(id)
    }

    /// Frees a slot; what it held is dropped by the caller.
    pub(super) fn remove(&mut self, id: u32) -> Option<Arc<HotCell>> {
        let free = std::mem::replace(&mut self.free, id);
        let slot = self.get_mut(id);
        slot.generation = 0;
        slot.next = free;
        slot.hot.take()
    }

    pub(super) fn get(&self, id: u32) -> &Slot {
        &self.pages[id as usize / SLOTS_PER_PAGE][id as usize % SLOTS_PER_PAGE]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Slot {
        &mut self.pages[id as usize / SLOTS_PER_PAGE][id as usize % SLOTS_PER_PAGE]
    }

    /// One more than the highest number in use.
    pub(super) fn end(&self) -> usize {
        match self.pages.len() {
            0 => 0,
            pages => (pages - 1) * SLOTS_PER_PAGE + self.pages[pages - 1].len(),
        }
    }
}

/// A doubly linked list of slots; the back goes first.
#[derive(Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl Default for List {
    fn default() -> Self {
        Self {
            head: NONE,
            tail: NONE,
        }
    }
}

impl List {
    pub(super) fn front(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    pub(super) fn back(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    pub(super) fn push_front(&mut self, slab: &mut Slab, id: u32) {
        self.insert_before(slab, id, self.head);
    }

    /// Puts `id` in front of `next`; [`NONE`] means the very end.
    pub(super) fn insert_before(&mut self, slab: &mut Slab, id: u32, next: u32) {
        let prev = match next {
            NONE => std::mem::replace(&mut self.tail, id),
            next => std::mem::replace(&mut slab.get_mut(next).prev, id),
        };
        match prev {
            NONE => self.head = id,
            prev => slab.get_mut(prev).next = id,
        }
        let slot = slab.get_mut(id);
        slot.prev = prev;
        slot.next = next;
    }

    pub(super) fn unlink(&mut self, slab: &mut Slab, id: u32) {
        let (prev, next) = (slab.get(id).prev, slab.get(id).next);
        match prev {
            NONE => self.head = next,
            prev => slab.get_mut(prev).next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => slab.get_mut(next).prev = prev,
        }
    }
}

//! The order of use: lists that run through the slots.

use super::slab::{NONE, Slab};

/// A doubly linked list of slots; the front was used last.
#[derive(Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(super) fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
        }
    }

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

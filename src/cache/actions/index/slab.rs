//! Values by number, in pages that never move once they are full: growing copies little.

use std::ops::{Index, IndexMut};

use super::size::vec_bytes;

/// Values of one page, a power of two.
const PAGE_VALUES: usize = 1024;

#[derive(Debug)]
pub(super) struct Slab<T> {
    pages: Vec<Vec<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            pages: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The number of the next value.
    pub(super) fn next(&self) -> usize {
        self.free.last().map_or_else(|| self.len(), |free| *free as usize)
    }

    /// Adds a value under the number that [`Slab::next`] gives.
    pub(super) fn add(&mut self, value: T) {
        if let Some(free) = self.free.pop() {
            self[free] = value;
            return;
        }
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE_VALUES => page.push(value),
            _ => {
                // The first page of a small tree grows as it must.
                let room = if self.pages.is_empty() { 1 } else { PAGE_VALUES };
                let mut page = Vec::with_capacity(room);
                page.push(value);
                self.pages.push(page);
            }
        }
    }

    /// Frees a number. `filler` takes the place until the number is used again.
    pub(super) fn remove(&mut self, at: u32, filler: T) {
        self[at] = filler;
        self.free.push(at);
    }

    /// Moves the values that are kept to the lowest numbers, in their order. Answers the number of each by its former one.
    pub(super) fn compact(&mut self, is_kept: impl Fn(&T) -> bool) -> Vec<u32> {
        let (mut moved, mut dense) = (Vec::with_capacity(self.len()), Self::new());
        for value in std::mem::take(&mut self.pages).into_iter().flatten() {
            moved.push(dense.len() as u32);
            if is_kept(&value) {
                dense.add(value);
            }
        }
        *self = dense;
        moved
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        // The others have room for just as many.
        let first = self.pages.first().map_or(0, Vec::capacity);
        let others = self.pages.len().saturating_sub(1) as u64;
        vec_bytes::<T>(first)
            + others * vec_bytes::<T>(PAGE_VALUES)
            + vec_bytes::<Vec<T>>(self.pages.capacity())
            + vec_bytes::<u32>(self.free.capacity())
    }

    /// Numbers in use and free ones.
    pub(super) fn len(&self) -> usize {
        let last = self.pages.last().map_or(0, Vec::len);
        self.pages.len().saturating_sub(1) * PAGE_VALUES + last
    }

    /// Numbers in use.
    pub(super) fn used(&self) -> usize {
        self.len() - self.free.len()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.pages[at as usize / PAGE_VALUES][at as usize % PAGE_VALUES]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.pages[at as usize / PAGE_VALUES][at as usize % PAGE_VALUES]
    }
}

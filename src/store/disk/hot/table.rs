//! Finds hot cells without the lock of the index, so that a hit waits neither for an eviction nor for another hit.
//!
//! It is changed under the lock of the index only, together with what is changed there. So whoever was told that an entry is
//! stored or removed finds no former cell here.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashTable;

use super::HotCell;
use crate::store::Digest;

/// Readers of different parts do not disturb each other.
const PART_COUNT: usize = 64;

/// See the module.
#[derive(Debug)]
pub(in crate::store::disk) struct HotTable(Box<[Part]>);

type Part = RwLock<HashTable<HotRow>>;

/// A version of an entry and its cell.
#[derive(Debug, Clone)]
pub(in crate::store::disk) struct HotRow {
    digest: Digest,
    pub(in crate::store::disk) generation: u64,
    pub(in crate::store::disk) cell: Arc<HotCell>,
}

impl Default for HotTable {
    fn default() -> Self {
        Self((0..PART_COUNT).map(|_| Part::default()).collect())
    }
}

impl HotTable {
    pub(in crate::store::disk) fn find(&self, digest: &Digest) -> Option<HotRow> {
        let rows = self.part(digest).read().unwrap_or_else(PoisonError::into_inner);
        rows.find(digest.prefix(), |row| row.digest == *digest).cloned()
    }

    /// Cells whose last use the snapshot does not have, a part of the table at a time.
    pub(in crate::store::disk) fn unlogged(&self) -> impl Iterator<Item = Vec<Digest>> {
        self.0.iter().map(|part| {
            let rows = part.read().unwrap_or_else(PoisonError::into_inner);
            let unlogged = rows.iter().filter(|row| row.cell.is_unlogged());
            unlogged.map(|row| row.digest).collect()
        })
    }

    pub(super) fn insert(&self, digest: Digest, generation: u64, cell: &Arc<HotCell>) {
        let row = HotRow {
            digest,
            generation,
            cell: Arc::clone(cell),
        };
        let mut rows = self.part(&digest).write().unwrap_or_else(PoisonError::into_inner);
        rows.insert_unique(digest.prefix(), row, |row| row.digest.prefix());
    }

    pub(super) fn remove(&self, digest: &Digest, generation: u64) {
        let mut rows = self.part(digest).write().unwrap_or_else(PoisonError::into_inner);
        let is_it = |row: &HotRow| row.digest == *digest && row.generation == generation;
        if let Ok(row) = rows.find_entry(digest.prefix(), is_it) {
            row.remove();
        }
    }

    fn part(&self, digest: &Digest) -> &Part {
        &self.0[usize::from(digest.as_bytes()[31]) % PART_COUNT]
    }
}

//! The index: which entries exist, in which version, and in which order they were used.
//!
//! Everything is in memory and guarded by one lock ([`super::core::DiskCore::index`]) that is held for
//! look-ups only, never across input, output or an await. A commit is a swap of a slot; the file of
//! the former version is *retiring* until it is unlinked, so that neither a scan nor a crash between
//! the two can bring it back unnoticed.

mod lists;
mod log;
mod start;
mod tenant_lists;
#[cfg(test)]
mod tests;
mod unused;
mod values;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hashbrown::HashTable;

pub(super) use log::IndexChanges;
pub(super) use values::{ExpectedVersion, FileRecord, IndexFull, IndexHit, ScanOutcome};

use self::tenant_lists::TenantLists;
use super::hot::{HotCell, HotSet};
use super::slab::{List, ListKind, Logged, NONE, Slab, Slot};
use crate::store::Digest;
use crate::store::shares::{EvictionCause, NumberedTenancy, ReservedBytes, ShareTable, Shares, Victim};

/// Look-up tables: a table that grows stops all requests while it does, and a small one is fast.
const TABLE_COUNT: usize = 64;
/// Most entries that are evicted under one lock.
pub(super) const MAX_BATCH_ENTRIES: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    tables: Vec<HashTable<u32>>,
    pub(super) slab: Slab,
    /// What every tenant holds. Its lock is taken under the one of the index.
    shares: Arc<Shares>,
    /// All entries that may be evicted.
    lists: TenantLists,
    /// Entries that are never evicted, whether or not they exist now.
    pins: HashSet<Digest>,
    pinned: List,
    pinned_bytes: u64,
    hot: HotSet,
    /// Files that are out of the index and not yet unlinked: generation to digest.
    retiring: HashMap<u64, Digest>,
    entries: usize,
    /// Entries of which nobody has read yet whom they belong to.
    unread: usize,
    clock: u64,
    changes: IndexChanges,
    /// Cells that left their slots. Dropping them may close files, so the caller does it after the lock.
    pub(super) garbage: Vec<Arc<HotCell>>,
}

fn hash(digest: &Digest) -> u64 {
    // The digest is uniform already.
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn table_of(digest: &Digest) -> usize {
    usize::from(digest.as_bytes()[31]) % TABLE_COUNT
}

impl Index {
    /// An empty index that keeps at most `memory` bytes of bodies and `files` open files. Entries count in `shares`.
    pub(super) fn new(memory: u64, files: u64, shares: Arc<Shares>) -> Self {
        Self {
            tables: (0..TABLE_COUNT).map(|_| HashTable::new()).collect(),
            slab: Slab::new(),
            shares,
            lists: TenantLists::default(),
            pins: HashSet::new(),
            pinned: List::default(),
            pinned_bytes: 0,
            hot: HotSet::new(memory, files),
            retiring: HashMap::new(),
            entries: 0,
            unread: 0,
            clock: 0,
            changes: IndexChanges::default(),
            garbage: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Hot cells, bytes in memory, open files.
    pub(super) fn hot_figures(&self) -> (usize, u64, usize) {
        self.hot.figures()
    }

    /// The entry under `digest`, which becomes the one used last.
    pub(super) fn hit(&mut self, digest: &Digest, now: u64) -> Option<IndexHit> {
        let id = self.find(digest)?;
        self.touch(id, now);
        let slot = self.slab.get_mut(id);
        let cell = slot.hot.get_or_insert_default();
        cell.touch();
        Some(IndexHit {
            generation: slot.generation,
            trusted: slot.trusted,
            cell: Arc::clone(cell),
        })
    }

    /// The version under `digest`.
    pub(super) fn current(&self, digest: &Digest) -> Option<u64> {
        self.find(digest).map(|id| self.slab.get(id).generation)
    }

    /// Puts a new version in place; what was reserved for it counts in no share any more. Answers the former one, which
    /// is now retiring.
    pub(super) fn commit(
        &mut self,
        new: FileRecord,
        reserved: Option<ReservedBytes>,
        cell: Arc<HotCell>,
    ) -> Result<Option<FileRecord>, IndexFull> {
        let (id, former) = match self.find(&new.digest) {
            Some(id) => (id, Some(self.replace(id, &new, reserved))),
            None => {
                let inserted = self.insert(&new, Logged::No, ListKind::Used, reserved);
                (inserted.ok_or(IndexFull)?, None)
            }
        };
        self.touch(id, new.stamp);
        let slot = self.slab.get_mut(id);
        slot.seen = true;
        slot.trusted = true;
        slot.hot = Some(cell);
        self.hot.admit(&mut self.slab, id, &mut self.garbage);
        Ok(former)
    }

    /// Removes the entry; its file is retiring.
    /// `None` if there is none, or another version than `expect`.
    pub(super) fn remove(&mut self, digest: &Digest, expect: ExpectedVersion) -> Option<FileRecord> {
        let id = self.find(digest)?;
        expect
            .fits(Some(self.slab.get(id).generation))
            .then(|| self.take(id))
    }

    /// Takes entries until they are `bytes` or `most` entries: of each tenant and rank that `choose` names, the one that
    /// was not used for longest.
    pub(super) fn evict(
        &mut self,
        bytes: u64,
        most: usize,
        mut choose: impl FnMut(&mut ShareTable) -> Option<Victim>,
    ) -> Vec<(FileRecord, EvictionCause)> {
        let mut victims = Vec::new();
        let mut freed = 0;
        while freed < bytes && victims.len() < most {
            let chosen = choose(&mut self.shares.table());
            let Some(Victim { whose, cause }) = chosen else {
                break;
            };
            let Some(id) = self.lists.oldest(whose, &self.slab) else {
                break;
            };
            let victim = self.take_victim(id, cause);
            freed += victim.bytes();
            victims.push((victim, cause));
        }
        victims
    }

    /// Takes an entry, and counts for its tenant that it did not want that.
    fn take_victim(&mut self, id: u32, cause: EvictionCause) -> FileRecord {
        let tenant = self.slab.get(id).tenancy().tenant;
        self.shares.table().count_eviction(tenant, cause);
        self.take(id)
    }

    /// Takes as many entries of the tenant of `new` as have to make way for it, so that the tenant keeps `most`.
    pub(super) fn keep_count(&mut self, new: &FileRecord, most: u64) -> Vec<(FileRecord, EvictionCause)> {
        let tenant = new.belongs.unwrap_or(NumberedTenancy::UNKNOWN).tenant;
        let former = self
            .find(&new.digest)
            .map(|id| self.slab.get(id).tenancy().tenant);
        let more = u64::from(former != Some(tenant));
        let mut victims = Vec::new();
        while victims.len() < MAX_BATCH_ENTRIES
            && self.shares.table().holdings(tenant).entries() + more > most
        {
            let mut taken = self.evict(1, 1, |shares| shares.own_victim(tenant));
            // What is left is pinned.
            let Some(victim) = taken.pop() else { break };
            victims.push(victim);
        }
        victims
    }

    /// The file of this generation is unlinked.
    pub(super) fn retired(&mut self, generation: u64) {
        self.retiring.remove(&generation);
    }

    /// Files of this digest that are out of the index and perhaps not yet unlinked.
    pub(super) fn retiring(&self, digest: &Digest) -> Vec<u64> {
        self.retiring
            .iter()
            .filter(|(_, other)| *other == digest)
            .map(|(generation, _)| *generation)
            .collect()
    }

    /// The cell of this version has been opened: count it, and remember that its bytes are checked, and whom it
    /// belongs to.
    pub(super) fn admit(&mut self, digest: &Digest, hit: &IndexHit, checked: bool, belongs: NumberedTenancy) {
        self.assign(digest, hit.generation, belongs);
        let Some(id) = self.find(digest) else { return };
        let slot = self.slab.get_mut(id);
        if slot.generation != hit.generation {
            return;
        }
        slot.trusted |= checked;
        if slot.hot.as_ref().is_some_and(|cell| Arc::ptr_eq(cell, &hit.cell)) {
            self.hot.admit(&mut self.slab, id, &mut self.garbage);
        }
    }

    /// The bytes of this version are checked.
    pub(super) fn trust(&mut self, digest: &Digest, generation: u64) {
        if let Some(id) = self.find(digest)
            && self.slab.get(id).generation == generation
        {
            self.slab.get_mut(id).trusted = true;
        }
    }

    /// Forgets an open file that is not what it was; the entry has to be opened and checked anew.
    pub(super) fn distrust(&mut self, digest: &Digest, hit: &IndexHit) {
        let Some(id) = self.find(digest) else { return };
        let slot = self.slab.get_mut(id);
        if slot.generation == hit.generation
            && slot.hot.as_ref().is_some_and(|cell| Arc::ptr_eq(cell, &hit.cell))
        {
            slot.trusted = false;
            self.cool(id);
        }
    }

    /// See [`HotSet::shed_files`].
    pub(super) fn shed_files(&mut self) {
        self.hot.shed_files(&mut self.slab, &mut self.garbage);
    }

    fn find(&self, digest: &Digest) -> Option<u32> {
        self.tables[table_of(digest)]
            .find(hash(digest), |id| self.slab.get(*id).digest == *digest)
            .copied()
    }

    /// Adds an entry to a list, unless it is pinned.
    fn insert(
        &mut self,
        new: &FileRecord,
        logged: Logged,
        list: ListKind,
        reserved: Option<ReservedBytes>,
    ) -> Option<u32> {
        let id = self.slab.insert(Slot {
            digest: new.digest,
            generation: new.generation,
            stamp: new.stamp,
            blocks: new.blocks,
            prev: NONE,
            next: NONE,
            belongs: new.belongs,
            seen: false,
            trusted: false,
            list: ListKind::Used,
            logged,
            hot: None,
        })?;
        let list = match self.home(&new.digest) {
            ListKind::Used => list,
            home => home,
        };
        self.link(id, list);
        self.count(id, reserved);
        let slab = &self.slab;
        self.tables[table_of(&new.digest)]
            .insert_unique(hash(&new.digest), id, |id| hash(&slab.get(*id).digest));
        self.entries += 1;
        if logged == Logged::No {
            self.changes.slots.push(id);
        }
        Some(id)
    }

    /// Writes a new version into a slot.
    fn replace(&mut self, id: u32, new: &FileRecord, reserved: Option<ReservedBytes>) -> FileRecord {
        self.cool(id);
        let former = FileRecord::from(self.slab.get(id));
        self.recount(id, reserved, |index| {
            index.relink(id, |slot| {
                slot.generation = new.generation;
                slot.trusted = false;
                slot.blocks = new.blocks;
                slot.belongs = new.belongs;
            });
        });
        self.outdate(id);
        self.retiring.insert(former.generation, former.digest);
        former
    }

    fn take(&mut self, id: u32) -> FileRecord {
        let logged = self.slab.get(id).logged;
        let victim = self.drop_slot(id);
        self.log_removal(logged, victim.digest, victim.generation);
        self.retiring.insert(victim.generation, victim.digest);
        victim
    }

    /// Frees a slot.
    fn drop_slot(&mut self, id: u32) -> FileRecord {
        self.entries -= 1;
        self.cool(id);
        self.uncount(id);
        self.unlink(id);
        let victim = FileRecord::from(self.slab.get(id));
        if let Ok(entry) =
            self.tables[table_of(&victim.digest)].find_entry(hash(&victim.digest), |other| *other == id)
        {
            entry.remove();
        }
        self.slab.remove(id);
        victim
    }

    fn cool(&mut self, id: u32) {
        if let Some(cell) = self.slab.get_mut(id).hot.take() {
            self.hot.forget(&cell);
            self.garbage.push(cell);
        }
    }

    /// Stamps only grow, so that the list is always ordered by them, and a snapshot too.
    fn touch(&mut self, id: u32, now: u64) {
        self.clock = now.max(self.clock + 1);
        let stamp = self.clock;
        let slot = self.slab.get(id);
        if slot.list == ListKind::Pinned {
            // It takes its place in the order when its pin ends.
        } else if self.lists.newest(slot.tenancy()) != Some(id) {
            self.unlink(id);
            self.link(id, ListKind::Used);
        }
        self.slab.get_mut(id).stamp = stamp;
        self.outdate(id);
    }
}

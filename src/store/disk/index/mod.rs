//! The index: which entries exist, in which version, and in which order they go.
//!
//! Everything is in memory and guarded by one lock ([`super::core::DiskCore::index`]) that is held for
//! look-ups only, never across input, output or an await. A commit is a swap of a slot; the file of
//! the former version is *retiring* until it is unlinked, so that neither a scan nor a crash between
//! the two can bring it back unnoticed.
//!
//! A hit moves nothing: the cell of the entry notes it ([`super::hot`]). What was used since it took its place in a list
//! gets another round when its turn has come to go ([`second_round`]).

mod lists;
mod log;
mod second_round;
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
pub(super) use values::{ExpectedVersion, FileRecord, IndexFull, IndexHit, LookUp, ScanOutcome};

use self::tenant_lists::TenantLists;
use super::hot::{Cooled, HotCell, HotSet, HotTable};
use super::slab::{List, ListKind, Logged, NONE, Slab, Slot};
use crate::store::Digest;
use crate::store::shares::{EvictionCause, NumberedTenancy, ReservedBytes, ShareTable, Shares, Victim};

/// Look-up tables: a table that grows stops all requests while it does, and a small one is fast.
const TABLE_COUNT: usize = 64;
/// Most entries that are evicted under one lock.
pub(super) const MAX_BATCH_ENTRIES: usize = 256;
/// Entries that got another round under one lock; no further victim is chosen then.
const MAX_BATCH_SPARED: usize = 1024;

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
    /// Cells that left their slots. The caller drops them after the lock.
    pub(super) cooled: Cooled,
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
            cooled: Cooled::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Hot cells, bytes in memory, open files.
    pub(super) fn hot_figures(&self) -> (usize, u64, usize) {
        self.hot.figures()
    }

    /// Where cells that are counted are found without a lock of the index.
    pub(super) fn hot_table(&self) -> &Arc<HotTable> {
        self.hot.table()
    }

    /// The entry under `digest`. Whoever uses it touches its cell.
    pub(super) fn look_up(&self, digest: &Digest) -> LookUp {
        match self.find(digest).map(|id| self.slab.get(id)) {
            None => LookUp::Absent,
            Some(slot) => slot
                .hot
                .as_ref()
                .map_or(LookUp::Cold, |cell| LookUp::Found(IndexHit::new(slot, cell))),
        }
    }

    /// The same; the entry gets a cell if it has none.
    pub(super) fn warm(&mut self, digest: &Digest) -> Option<IndexHit> {
        let id = self.find(digest)?;
        let slot = self.slab.get_mut(id);
        let stamp = slot.stamp;
        let cell = Arc::clone(slot.hot.get_or_insert_with(|| HotCell::used_at(stamp)));
        Some(IndexHit::new(slot, &cell))
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
        cell.came_at(self.make_newest(id, new.stamp));
        let slot = self.slab.get_mut(id);
        slot.seen = true;
        slot.trusted = true;
        slot.hot = Some(cell);
        self.admit_to_hot(id);
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

    /// Takes entries until they are `bytes` or `most` entries, or many got another round: of each tenant and rank that
    /// `choose` names, the one whose turn it is.
    pub(super) fn evict(
        &mut self,
        bytes: u64,
        most: usize,
        mut choose: impl FnMut(&mut ShareTable) -> Option<Victim>,
    ) -> Vec<(FileRecord, EvictionCause)> {
        let mut victims = Vec::new();
        let (mut freed, mut spared) = (0, 0);
        while freed < bytes && victims.len() < most && spared < MAX_BATCH_SPARED {
            let chosen = choose(&mut self.shares.table());
            let Some(Victim { whose, cause }) = chosen else {
                break;
            };
            let Some(id) = self.next_victim(whose, &mut spared) else {
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
            self.admit_to_hot(id);
        }
    }

    fn admit_to_hot(&mut self, id: u32) {
        self.hot.admit(&mut self.slab, id, &mut self.cooled);
        self.keep_uses();
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
            if let Some(at) = self.cool(id) {
                self.give_round(id, at);
            }
        }
    }

    /// See [`HotSet::shed_files`].
    pub(super) fn shed_files(&mut self) {
        self.hot.shed_files(&mut self.slab, &mut self.cooled);
        self.keep_uses();
    }

    fn find(&self, digest: &Digest) -> Option<u32> {
        self.tables[table_of(digest)]
            .find(digest.prefix(), |id| self.slab.get(*id).digest == *digest)
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
            .insert_unique(new.digest.prefix(), id, |id| slab.get(*id).digest.prefix());
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
            self.tables[table_of(&victim.digest)].find_entry(victim.digest.prefix(), |other| *other == id)
        {
            entry.remove();
        }
        self.slab.remove(id);
        victim
    }

    /// Takes the cell out of a slot. Answers when the entry was used last, if it was since somebody asked.
    fn cool(&mut self, id: u32) -> Option<u64> {
        let slot = self.slab.get_mut(id);
        let cell = slot.hot.take()?;
        let (digest, generation) = (slot.digest, slot.generation);
        self.hot.forget(&digest, generation, &cell);
        let used = cell.take_visit();
        self.cooled.cells.push(cell);
        used
    }

    /// The entry becomes the newest of all. Answers its stamp, which is greater than those before.
    fn make_newest(&mut self, id: u32, now: u64) -> u64 {
        self.clock = now.max(self.clock + 1);
        self.slab.get_mut(id).stamp = self.clock;
        self.move_to_front(id);
        self.outdate(id);
        self.clock
    }
}

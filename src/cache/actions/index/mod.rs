//! The index of committed entries, in memory: by namespace, version, key and time.
//!
//! A look-up costs one short lock and the length of the key, whatever the number of entries. Nothing in here
//! waits or does I/O.

mod bound;
mod namespace_trees;
mod oldest;
mod order;
pub(super) mod size;
mod slab;
mod tree;

use std::collections::HashMap;
use std::collections::hash_map::{Entry, OccupiedEntry};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use order::{LookupStep, lookup_steps};

use self::namespace_trees::NamespaceTrees;
use super::entry::{CacheKey, CommittedEntry, EntryRecord, NamespaceId, Version};
use crate::store::Digest;
use crate::store::journal::Ulid;

/// The index has this many locks, a power of two.
const SHARD_COUNT: usize = 16;
/// Entries that are copied under one lock at most.
const SLICE_ENTRIES: u32 = 256;

/// An entry that a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The entry.
    pub entry: CommittedEntry,
    /// The position of its namespace in the order of the look-up, from 0.
    pub position: usize,
    /// Whether its key is the primary key.
    pub exact: bool,
}

/// See the module.
#[derive(Debug)]
pub struct ActionsIndex {
    shards: [Mutex<IndexShard>; SHARD_COUNT],
    entries: AtomicUsize,
    namespaces: AtomicUsize,
    /// What the entries take, and what they may take.
    bytes: AtomicU64,
    bound: u64,
    /// Bytes that the ledger holds for them.
    beside: AtomicU64,
    dropped: AtomicU64,
    /// Held by whoever makes room.
    turn: Mutex<()>,
    complained: AtomicU64,
}

type IndexShard = HashMap<Digest, NamespaceTrees>;

impl Default for ActionsIndex {
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl ActionsIndex {
    /// An empty index that takes at most `bound` bytes, and for a moment those of a few entries more.
    pub fn new(bound: u64) -> Self {
        Self {
            shards: Default::default(),
            entries: AtomicUsize::new(0),
            namespaces: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            bound,
            beside: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            turn: Mutex::new(()),
            complained: AtomicU64::new(0),
        }
    }

    /// Puts an entry in, unless the one under this key is newer or the same. `false` if nothing changed. The oldest
    /// entries may be dropped for it.
    pub fn insert(&self, entry: &CommittedEntry) -> bool {
        let changed = self.put(entry);
        self.keep_bound();
        changed
    }

    fn put(&self, entry: &CommittedEntry) -> bool {
        let namespace = &entry.namespace;
        let mut shard = self.shard(namespace);
        let (mut trees, before) = match shard.entry(*namespace.digest()) {
            Entry::Occupied(trees) => {
                let bytes = trees.get().bytes();
                (trees, bytes)
            }
            Entry::Vacant(place) => {
                self.namespaces.fetch_add(1, Ordering::Relaxed);
                (place.insert_entry(NamespaceTrees::new(namespace)), 0)
            }
        };
        trees.get_mut().note_owner(namespace);
        let (changed, added) = trees.get_mut().insert(entry);
        self.entries.fetch_add(added, Ordering::Relaxed);
        self.settle(trees, before);
        changed
    }

    /// Removes an entry, unless another one is under its key. `false` if the entry is not there.
    pub fn remove(&self, entry: &CommittedEntry) -> bool {
        let mut shard = self.shard(&entry.namespace);
        let Entry::Occupied(mut trees) = shard.entry(*entry.namespace.digest()) else {
            return false;
        };
        let before = trees.get().bytes();
        let is_it = |record: &EntryRecord| record.id == entry.record.id;
        let removed = trees.get_mut().remove(&entry.version, &entry.key, is_it);
        self.entries.fetch_sub(usize::from(removed), Ordering::Relaxed);
        if self.settle(trees, before) {
            tidy(&mut shard);
        }
        removed
    }

    /// Counts what a namespace takes now, and drops one without entries. It took `before` bytes. Answers whether it is
    /// gone.
    fn settle(&self, trees: OccupiedEntry<'_, Digest, NamespaceTrees>, before: u64) -> bool {
        let is_gone = trees.get().versions.is_empty();
        let after = if is_gone { 0 } else { trees.get().bytes() };
        if is_gone {
            trees.remove();
            self.namespaces.fetch_sub(1, Ordering::Relaxed);
        }
        // Wraps where it is less: the sum is right all the same.
        self.bytes
            .fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        is_gone
    }

    /// The entry under this key.
    pub fn exact(&self, namespace: &NamespaceId, version: &Version, key: &CacheKey) -> Option<EntryRecord> {
        self.shard(namespace)
            .get(namespace.digest())?
            .versions
            .get(version)?
            .exact(key)
    }

    /// The newest entry whose key begins with `prefix`.
    pub fn newest(
        &self,
        namespace: &NamespaceId,
        version: &Version,
        prefix: &str,
    ) -> Option<(CacheKey, EntryRecord)> {
        let shard = self.shard(namespace);
        let tree = shard.get(namespace.digest())?.versions.get(version)?;
        tree.newest(prefix).map(|(key, record)| (key.clone(), record))
    }

    /// The first entry in GitHub's order ([`lookup_steps`], for each of `namespaces`), without those named in `passed`.
    pub fn find(
        &self,
        namespaces: &[NamespaceId],
        version: &Version,
        keys: &[CacheKey],
        passed: &[Ulid],
    ) -> Option<Candidate> {
        namespaces.iter().enumerate().find_map(|(position, namespace)| {
            let mut shard = self.shard(namespace);
            let trees = shard.get_mut(namespace.digest())?;
            trees.note_owner(namespace);
            let tree = trees.versions.get(version)?;
            let (key, record, exact) = order::find(tree, keys, passed)?;
            drop(shard);
            let entry = CommittedEntry::new(namespace, version, key, record);
            Some(Candidate {
                entry,
                position,
                exact,
            })
        })
    }

    /// Entries of some versions whose keys begin with `prefix`, newest first, at most `limit`.
    pub fn newest_first(
        &self,
        namespace: &NamespaceId,
        versions: &[Version],
        prefix: &str,
        limit: usize,
    ) -> Vec<CommittedEntry> {
        let shard = self.shard(namespace);
        let trees = shard.get(namespace.digest()).map(|trees| &trees.versions);
        let known = |version| Some((version, trees?.get(version)?));
        let found = versions.iter().filter_map(known).flat_map(|(version, tree)| {
            let newest = tree.newest_first(prefix).take(limit);
            newest.map(move |(key, record)| CommittedEntry::new(namespace, version, key.clone(), record))
        });
        let mut found: Vec<_> = found.collect();
        drop(shard);
        found.sort_unstable_by_key(|listed| std::cmp::Reverse(listed.record));
        found.truncate(limit);
        found
    }

    /// The versions that a namespace has entries of.
    pub fn versions(&self, namespace: &NamespaceId) -> Vec<Version> {
        let shard = self.shard(namespace);
        let trees = shard.get(namespace.digest());
        trees.map_or_else(Vec::new, |trees| trees.versions.keys().cloned().collect())
    }

    /// All entries, some hundreds at once. Those that come or go meanwhile may be among them or not, and when many go, some
    /// of the others are there twice.
    pub fn slices(&self) -> impl Iterator<Item = Vec<CommittedEntry>> {
        self.namespaces().into_iter().flat_map(move |namespace| {
            let versions = self.versions(&namespace).into_iter();
            versions.flat_map(move |version| self.slices_of(namespace.clone(), version))
        })
    }

    /// Whether a namespace has entries.
    pub fn has(&self, namespace: &Digest) -> bool {
        self.locked(namespace).contains_key(namespace)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many namespaces have entries.
    pub fn count_namespaces(&self) -> usize {
        self.namespaces.load(Ordering::Relaxed)
    }

    fn namespaces(&self) -> Vec<NamespaceId> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(lock(shard).values().map(|trees| trees.namespace.clone()));
        }
        all
    }

    fn slices_of(
        &self,
        namespace: NamespaceId,
        version: Version,
    ) -> impl Iterator<Item = Vec<CommittedEntry>> {
        let (mut from, mut moves) = (Some(0), None);
        std::iter::from_fn(move || {
            let (entries, next) = {
                let shard = self.shard(&namespace);
                let tree = shard.get(namespace.digest())?.versions.get(&version)?;
                from?;
                if moves
                    .replace(tree.moves())
                    .is_some_and(|before| before != tree.moves())
                {
                    // They have other numbers now. Some come twice.
                    from = Some(0);
                }
                tree.slice(from?, SLICE_ENTRIES)
            };
            from = next;
            let entries = entries.into_iter();
            let entry = |(key, record)| CommittedEntry::new(&namespace, &version, key, record);
            Some(entries.map(entry).collect())
        })
    }

    fn shard(&self, namespace: &NamespaceId) -> MutexGuard<'_, IndexShard> {
        self.locked(namespace.digest())
    }

    fn locked(&self, namespace: &Digest) -> MutexGuard<'_, IndexShard> {
        lock(&self.shards[usize::from(namespace.as_bytes()[0]) % SHARD_COUNT])
    }
}

fn lock(shard: &Mutex<IndexShard>) -> MutexGuard<'_, IndexShard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// After a namespace is gone: places that are not used are given back.
fn tidy(shard: &mut IndexShard) {
    if 4 * shard.len() < shard.capacity() {
        shard.shrink_to_fit();
    }
}

#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod tests;

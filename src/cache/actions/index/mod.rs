//! The index of committed entries, in memory: by namespace, version, key and time.
//!
//! A look-up costs one short lock and the length of the key, whatever the number of entries. Nothing in here
//! waits or does I/O.

mod order;
mod slab;
mod tree;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use order::{LookupStep, lookup_steps};

use self::tree::EntryTree;
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
#[derive(Debug, Default)]
pub struct ActionsIndex {
    shards: [Mutex<IndexShard>; SHARD_COUNT],
    entries: AtomicUsize,
    namespaces: AtomicUsize,
}

type IndexShard = HashMap<Digest, NamespaceTrees>;

/// The trees of one namespace: at least one version, each with at least one entry.
#[derive(Debug)]
struct NamespaceTrees {
    namespace: NamespaceId,
    versions: HashMap<Version, EntryTree>,
}

impl ActionsIndex {
    /// Puts an entry in, unless the one under this key is newer or the same. `false` if nothing changed.
    pub fn insert(&self, entry: &CommittedEntry) -> bool {
        let namespace = &entry.namespace;
        let mut shard = self.shard(namespace);
        let trees = shard.entry(*namespace.digest()).or_insert_with(|| {
            self.namespaces.fetch_add(1, Ordering::Relaxed);
            NamespaceTrees {
                namespace: namespace.clone(),
                versions: HashMap::new(),
            }
        });
        let version = trees.versions.entry(entry.version.clone());
        let tree = version.or_insert_with(EntryTree::new);
        let before = tree.len();
        let changed = tree.insert(&entry.key, entry.record);
        self.entries.fetch_add(tree.len() - before, Ordering::Relaxed);
        changed
    }

    /// Removes an entry, unless another one is under its key. `false` if the entry is not there.
    pub fn remove(&self, entry: &CommittedEntry) -> bool {
        let mut shard = self.shard(&entry.namespace);
        let Entry::Occupied(mut trees) = shard.entry(*entry.namespace.digest()) else {
            return false;
        };
        let Entry::Occupied(mut tree) = trees.get_mut().versions.entry(entry.version.clone()) else {
            return false;
        };
        let is_it = |record: &EntryRecord| record.id == entry.record.id;
        if !tree.get_mut().remove(&entry.key, is_it) {
            return false;
        }
        self.entries.fetch_sub(1, Ordering::Relaxed);
        if tree.get().len() == 0 {
            tree.remove();
        }
        if trees.get().versions.is_empty() {
            trees.remove();
            self.namespaces.fetch_sub(1, Ordering::Relaxed);
        }
        true
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
            let shard = self.shard(namespace);
            let tree = shard.get(namespace.digest())?.versions.get(version)?;
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

    /// All entries, some hundreds at once. Those that come or go meanwhile may be among them or not.
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
        let mut from = Some(0);
        std::iter::from_fn(move || {
            let (entries, next) = {
                let shard = self.shard(&namespace);
                let tree = shard.get(namespace.digest())?.versions.get(&version)?;
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

#[cfg(test)]
mod tests;

//! The entries of one namespace: a tree for each version.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::bound::Owner;
use super::oldest::OldestEntry;
use super::size::{arc_bytes, map_bytes, text_bytes};
use super::tree::EntryTree;
use crate::cache::actions::entry::{CacheKey, CommittedEntry, EntryRecord, NamespaceId, Version};
use crate::store::Digest;

/// At least one version, each with at least one entry.
#[derive(Debug)]
pub(super) struct NamespaceTrees {
    pub(super) namespace: NamespaceId,
    pub(super) versions: HashMap<Version, EntryTree>,
    /// Bytes of the trees and the texts of the versions.
    tree_bytes: u64,
}

/// What the place of a namespace takes in the map of all, which grows by doubling.
const PLACE_BYTES: u64 = 2 * (size_of::<(Digest, NamespaceTrees)>() as u64 + 1);

/// The part of memory that is lost between pieces, measured.
const LOSS_PART: u64 = 16;
/// Entries that go under one lock.
const MOST_AT_ONCE: usize = 64;

impl NamespaceTrees {
    pub(super) fn new(namespace: &NamespaceId) -> Self {
        Self {
            namespace: namespace.clone(),
            versions: HashMap::new(),
            tree_bytes: 0,
        }
    }

    /// Bytes that all of it takes in the memory of a process. What allocators leave between is a part of it.
    pub(super) fn bytes(&self) -> u64 {
        let sum = self.sum();
        sum + sum / LOSS_PART
    }

    /// The same, and nothing if no entry is left.
    pub(super) fn bytes_or_none(&self) -> u64 {
        match self.versions.is_empty() {
            true => 0,
            false => self.bytes(),
        }
    }

    pub(super) fn owner(&self) -> Owner {
        self.namespace.owner()
    }

    /// Whoever writes it last owns it. A caller that says nothing of that changes nothing.
    pub(super) fn note_owner(&mut self, namespace: &NamespaceId) {
        if namespace.owner().is_some() && namespace.owner() != self.owner() {
            // With the texts that are there, so that none are there twice.
            self.namespace = self.namespace.owned_by(namespace.owner());
        }
    }

    /// The oldest entry of each version.
    pub(super) fn oldest(&self) -> impl Iterator<Item = OldestEntry> {
        self.versions.iter().filter_map(|(version, tree)| {
            Some(OldestEntry {
                record: tree.oldest()?.1,
                namespace: self.namespace.clone(),
                version: version.clone(),
            })
        })
    }

    fn sum(&self) -> u64 {
        let name = &self.namespace;
        let name = arc_bytes(NamespaceId::BYTES) + text_bytes(name.issuer()) + text_bytes(name.path());
        PLACE_BYTES + name + map_bytes(&self.versions) + self.tree_bytes
    }

    /// Puts an entry in, unless the one under its key is newer or the same. Whether something changed, and how many
    /// entries there are more.
    pub(super) fn insert(&mut self, entry: &CommittedEntry) -> (bool, usize) {
        let tree = match self.versions.entry(entry.version.clone()) {
            Entry::Occupied(tree) => tree.into_mut(),
            Entry::Vacant(place) => {
                self.tree_bytes += text_bytes(entry.version.as_str());
                place.insert(EntryTree::new())
            }
        };
        let (bytes, len) = (tree.bytes(), tree.len());
        let changed = tree.insert(&entry.key, entry.record);
        let added = tree.len() - len;
        self.tree_bytes = self.tree_bytes + tree.bytes() - bytes;
        (changed, added)
    }

    /// Removes the entry under `key` if it is the one that is meant.
    pub(super) fn remove(
        &mut self,
        version: &Version,
        key: &CacheKey,
        is_it: impl FnOnce(&EntryRecord) -> bool,
    ) -> bool {
        let Some(tree) = self.versions.get_mut(version) else {
            return false;
        };
        let bytes = tree.bytes();
        if !tree.remove(key, is_it) {
            return false;
        }
        self.tree_bytes = self.tree_bytes + tree.bytes() - bytes;
        if tree.len() == 0 {
            self.tree_bytes -= tree.bytes() + text_bytes(version.as_str());
            self.versions.remove(version);
            if 4 * self.versions.len() < self.versions.capacity() {
                self.versions.shrink_to_fit();
            }
        }
        true
    }

    /// Removes the oldest entries of a version, one at least, until what is left is later than `until`, or all takes
    /// `bytes` bytes less. Answers how many went, and the oldest of those that are left.
    pub(super) fn remove_oldest(
        &mut self,
        version: &Version,
        until: Option<EntryRecord>,
        bytes: u64,
    ) -> (usize, Option<EntryRecord>) {
        let goal = self.bytes().saturating_sub(bytes);
        let mut removed = 0;
        loop {
            let tree = self.versions.get(version);
            let Some((key, record)) = tree.and_then(EntryTree::oldest) else {
                return (removed, None);
            };
            let is_later = until.is_some_and(|until| record > until);
            let is_enough = self.bytes() <= goal || removed == MOST_AT_ONCE;
            if removed > 0 && (is_later || is_enough) {
                return (removed, Some(record));
            }
            let key = key.clone();
            removed += usize::from(self.remove(version, &key, |_| true));
        }
    }
}

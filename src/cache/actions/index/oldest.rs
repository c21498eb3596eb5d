//! The trees of one tenant with the oldest entries, in the order of these.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::cache::actions::entry::{EntryRecord, NamespaceId, Version};

/// A tree, and its oldest entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OldestEntry {
    pub(super) record: EntryRecord,
    pub(super) namespace: NamespaceId,
    pub(super) version: Version,
}

impl OldestEntry {
    /// The same tree with another oldest entry.
    pub(super) fn at(self, record: EntryRecord) -> Self {
        Self { record, ..self }
    }
}

impl PartialOrd for OldestEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By age. Where it is the same, any order will do.
impl Ord for OldestEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        let digest = |one: &Self| *one.namespace.digest().as_bytes();
        (self.record, digest(self), &self.version).cmp(&(other.record, digest(other), &other.version))
    }
}

/// At most so many trees: those with the oldest entries of all.
#[derive(Debug)]
pub(super) struct OldestTrees {
    most: usize,
    /// The one with the latest of them is on top.
    trees: BinaryHeap<OldestEntry>,
    /// What was left out is not older.
    left_out: Option<EntryRecord>,
}

impl OldestTrees {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            trees: BinaryHeap::new(),
            left_out: None,
        }
    }

    pub(super) fn push(&mut self, tree: OldestEntry) {
        self.trees.push(tree);
        if self.trees.len() > self.most
            && let Some(latest) = self.trees.pop()
        {
            self.left_out = Some(self.left_out.map_or(latest.record, |out| out.min(latest.record)));
        }
    }

    pub(super) fn into_queue(self) -> OldestQueue {
        OldestQueue {
            trees: self.trees.into_iter().map(Reverse).collect(),
            end: self.left_out,
        }
    }
}

/// The same, the oldest first.
#[derive(Debug)]
pub(super) struct OldestQueue {
    trees: BinaryHeap<Reverse<OldestEntry>>,
    end: Option<EntryRecord>,
}

impl OldestQueue {
    pub(super) fn pop(&mut self) -> Option<OldestEntry> {
        self.trees.pop().map(|tree| tree.0)
    }

    /// Up to which age entries may go before the next tree has its turn.
    pub(super) fn next_record(&self) -> Option<EntryRecord> {
        let next = self.trees.peek().map(|next| next.0.record);
        next.into_iter().chain(self.end).min()
    }

    /// Puts a tree back, unless one that was left out may have an older entry.
    pub(super) fn push(&mut self, tree: OldestEntry) {
        if self.end.is_none_or(|end| tree.record <= end) {
            self.trees.push(Reverse(tree));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::Ulid;

    fn tree(created: u64) -> OldestEntry {
        OldestEntry {
            record: EntryRecord {
                created,
                id: Ulid(created.into()),
                size: 1,
                tag: [0; 16],
            },
            namespace: NamespaceId::new("https://issuer".into(), "n".into()),
            version: Version::new("v").expect("version"),
        }
    }

    #[test]
    fn no_entry_goes_before_an_older_one_of_a_tree_that_was_left_out() {
        let mut trees = OldestTrees::new(2);
        for created in [5, 3, 9, 1] {
            trees.push(tree(created));
        }
        let mut queue = trees.into_queue();
        let first = queue.pop().expect("the oldest");
        assert_eq!(first.record.created, 1);
        assert_eq!(queue.next_record().map(|record| record.created), Some(3));
        queue.push(first.at(tree(6).record));
        assert_eq!(queue.pop().map(|tree| tree.record.created), Some(3));
        assert_eq!(queue.next_record().map(|record| record.created), Some(5));
        assert!(queue.pop().is_none(), "5 was left out and is older than 6");
    }
}

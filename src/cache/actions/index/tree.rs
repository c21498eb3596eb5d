//! The entries of one version: a Patricia tree over the bytes of keys. Each node knows the newest and the oldest entry
//! below it.
//!
//! A node stands where two keys differ first, so there is one node less than entries. A byte is nine bits:
//! one that says that it is there, and its own eight; so a key and a longer one that begins with it differ.
//! Bits of a key that no node asks about are not compared on the way down, only once at its end.

use std::collections::BinaryHeap;

use super::size::text_bytes;
use super::slab::Slab;
use crate::cache::actions::entry::{CacheKey, EntryRecord};

/// The number of an entry if [`LEAF_BIT`] is set, else of a node.
type TreeLink = u32;
const LEAF_BIT: u32 = 1 << 31;
const NO_LINK: TreeLink = u32::MAX;
/// Fills the place of a removed node.
const FREE_NODE: TreeNode = TreeNode {
    bit: 0,
    newest: NO_LINK,
    oldest: NO_LINK,
    below: [NO_LINK; 2],
};

#[derive(Debug)]
struct TreeEntry {
    key: CacheKey,
    record: EntryRecord,
}

/// All keys below it agree in the bits before `bit`.
#[derive(Debug)]
struct TreeNode {
    /// Number of the byte times 16, and the bit in it.
    bit: u32,
    /// The number of an entry.
    newest: u32,
    /// The same.
    oldest: u32,
    below: [TreeLink; 2],
}

#[derive(Debug)]
pub(super) struct EntryTree {
    entries: Slab<Option<TreeEntry>>,
    nodes: Slab<TreeNode>,
    root: TreeLink,
    /// Bytes of the texts of all keys.
    key_bytes: u64,
    /// How often all numbers have changed.
    moves: u32,
}

/// With fewer numbers than this, free ones cost too little to be given back.
const MIN_COMPACT: usize = 1024;

impl EntryTree {
    pub(super) fn new() -> Self {
        Self {
            entries: Slab::new(),
            nodes: Slab::new(),
            root: NO_LINK,
            key_bytes: 0,
            moves: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.used()
    }

    /// Bytes that it takes, itself not included.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.bytes() + self.nodes.bytes() + self.key_bytes
    }

    /// Tells one numbering of the entries from another.
    pub(super) fn moves(&self) -> u32 {
        self.moves
    }

    /// The entry that was committed first.
    pub(super) fn oldest(&self) -> Option<(&CacheKey, EntryRecord)> {
        let entry = self.entry(self.oldest_of(self.root))?;
        Some((&entry.key, entry.record))
    }

    /// The entry under `key`.
    pub(super) fn exact(&self, key: &CacheKey) -> Option<EntryRecord> {
        let entry = self.entry(self.nearest(key.as_str().as_bytes()))?;
        (entry.key == *key).then_some(entry.record)
    }

    /// The newest entry whose key begins with `prefix`.
    pub(super) fn newest(&self, prefix: &str) -> Option<(&CacheKey, EntryRecord)> {
        let entry = self.entry(self.newest_of(self.subtree(prefix)))?;
        Some((&entry.key, entry.record))
    }

    /// All entries whose keys begin with `prefix`, newest first; each costs the depth of the tree.
    pub(super) fn newest_first(&self, prefix: &str) -> impl Iterator<Item = (&CacheKey, EntryRecord)> {
        let mut queue = BinaryHeap::new();
        let push = |queue: &mut BinaryHeap<_>, link| {
            queue.extend(self.record(self.newest_of(link)).map(|record| (record, link)));
        };
        push(&mut queue, self.subtree(prefix));
        std::iter::from_fn(move || {
            loop {
                let (_, link) = queue.pop()?;
                if link & LEAF_BIT != 0 {
                    let entry = self.entry(link & !LEAF_BIT)?;
                    return Some((&entry.key, entry.record));
                }
                let below = self.nodes[link].below;
                below.into_iter().for_each(|link| push(&mut queue, link));
            }
        })
    }

    /// Entries in the order of their numbers, from the number `from` on, at most `limit` numbers; an entry
    /// keeps its number until [`EntryTree::moves`] changes. The second value is where to go on, `None` at the end.
    pub(super) fn slice(&self, from: u32, limit: u32) -> (Vec<(CacheKey, EntryRecord)>, Option<u32>) {
        let len = self.entries.len() as u32;
        let end = from.saturating_add(limit).min(len);
        let entries = (from..end).filter_map(|at| self.entry(at));
        let found = entries.map(|entry| (entry.key.clone(), entry.record));
        (found.collect(), (end < len).then_some(end))
    }

    /// Puts an entry in, unless the one under `key` is newer or the same. `false` if nothing changed.
    pub(super) fn insert(&mut self, key: &CacheKey, record: EntryRecord) -> bool {
        let near = self.nearest(key.as_str().as_bytes());
        let Some(other) = self.entry(near) else {
            self.root = self.add_entry(key, record) | LEAF_BIT;
            return true;
        };
        let Some(bit) = first_difference(other.key.as_str().as_bytes(), key.as_str().as_bytes()) else {
            return self.renew(near, record);
        };
        if self.entries.next() >= LEAF_BIT as usize - 1 {
            return false;
        }
        let entry = self.add_entry(key, record);
        let (above, link) = self.note(entry, bit);
        let newest = self.newer(self.newest_of(link), entry);
        let oldest = self.older(self.oldest_of(link), entry);
        let mut below = [entry | LEAF_BIT; 2];
        below[1 - bit_of(key.as_str().as_bytes(), bit)] = link;
        let node = self.nodes.next() as u32;
        self.nodes.add(TreeNode {
            bit,
            newest,
            oldest,
            below,
        });
        self.relink(above, node);
        true
    }

    /// Removes the entry under `key` if `which` accepts it.
    pub(super) fn remove(&mut self, key: &CacheKey, which: impl FnOnce(&EntryRecord) -> bool) -> bool {
        let (mut path, link) = self.path(key);
        let gone = link & !LEAF_BIT;
        let entry = self.entry(gone);
        if !entry.is_some_and(|entry| entry.key == *key && which(&entry.record)) {
            return false;
        }
        let Some((node, side)) = path.pop() else {
            *self = Self::new();
            return true;
        };
        let sibling = self.nodes[node].below[1 - side];
        self.relink(path.last().copied(), sibling);
        self.nodes.remove(node, FREE_NODE);
        // Above a node that names other ones, all do.
        for (node, _) in path.into_iter().rev() {
            if self.nodes[node].newest != gone && self.nodes[node].oldest != gone {
                break;
            }
            self.compare(node);
        }
        self.entries.remove(gone, None);
        self.key_bytes -= text_bytes(key.as_str());
        if self.entries.len() > MIN_COMPACT && 2 * self.entries.used() < self.entries.len() {
            self.compact();
        }
        true
    }

    /// The nodes on the way to a key, with the sides on which it goes on, and what it ends at.
    fn path(&self, key: &CacheKey) -> (Vec<(u32, usize)>, TreeLink) {
        let bytes = key.as_str().as_bytes();
        let (mut path, mut link) = (Vec::new(), self.root);
        while link & LEAF_BIT == 0 {
            let side = bit_of(bytes, self.nodes[link].bit);
            path.push((link, side));
            link = self.nodes[link].below[side];
        }
        (path, link)
    }

    /// Finds out the newest and the oldest entry below a node.
    fn compare(&mut self, node: u32) {
        let [one, two] = self.nodes[node].below;
        self.nodes[node].newest = self.newer(self.newest_of(one), self.newest_of(two));
        self.nodes[node].oldest = self.older(self.oldest_of(one), self.oldest_of(two));
    }

    /// Gives free numbers back: all get others.
    fn compact(&mut self) {
        let entries = self.entries.compact(Option::is_some);
        let nodes = self.nodes.compact(|node| node.newest != NO_LINK);
        let moved = |link: TreeLink| match link & LEAF_BIT {
            0 => nodes[link as usize],
            _ => entries[(link & !LEAF_BIT) as usize] | LEAF_BIT,
        };
        for at in 0..self.nodes.len() as u32 {
            let node = &mut self.nodes[at];
            node.newest = entries[node.newest as usize];
            node.oldest = entries[node.oldest as usize];
            node.below = node.below.map(moved);
        }
        self.root = moved(self.root);
        self.moves += 1;
    }

    /// A newer record for an entry.
    fn renew(&mut self, at: u32, record: EntryRecord) -> bool {
        let Some(entry) = self.entries[at].as_mut().filter(|entry| entry.record < record) else {
            return false;
        };
        entry.record = record;
        let key = entry.key.clone();
        for (node, _) in self.path(&key).0.into_iter().rev() {
            self.compare(node);
        }
        true
    }

    /// Tells the nodes above `bit` on the way to a new entry of it. Returns the place below them.
    fn note(&mut self, entry: u32, bit: u32) -> (Option<(u32, usize)>, TreeLink) {
        let Some(key) = self.entry(entry).map(|entry| entry.key.clone()) else {
            return (None, self.root);
        };
        let (mut above, mut link) = (None, self.root);
        let (mut is_newest, mut is_oldest) = (false, false);
        while link & LEAF_BIT == 0 && self.nodes[link].bit < bit {
            // Below a node that knows only older ones, all do, and so it is with newer ones.
            is_newest = is_newest || self.newer(self.nodes[link].newest, entry) == entry;
            is_oldest = is_oldest || self.older(self.nodes[link].oldest, entry) == entry;
            if is_newest {
                self.nodes[link].newest = entry;
            }
            if is_oldest {
                self.nodes[link].oldest = entry;
            }
            let side = bit_of(key.as_str().as_bytes(), self.nodes[link].bit);
            above = Some((link, side));
            link = self.nodes[link].below[side];
        }
        (above, link)
    }

    fn relink(&mut self, above: Option<(u32, usize)>, link: TreeLink) {
        match above {
            Some((node, side)) => self.nodes[node].below[side] = link,
            None => self.root = link,
        }
    }

    fn add_entry(&mut self, key: &CacheKey, record: EntryRecord) -> u32 {
        let at = self.entries.next() as u32;
        let key = key.clone();
        self.key_bytes += text_bytes(key.as_str());
        self.entries.add(Some(TreeEntry { key, record }));
        at
    }

    /// The only entry that can have this key.
    fn nearest(&self, key: &[u8]) -> u32 {
        self.descend(key, u32::MAX) & !LEAF_BIT
    }

    /// The highest place below which all keys begin with `prefix`.
    fn subtree(&self, prefix: &str) -> TreeLink {
        let link = self.descend(prefix.as_bytes(), (prefix.len() as u32).saturating_mul(16));
        let any = self.entry(self.newest_of(link));
        let fits = any.is_some_and(|entry| entry.key.as_str().as_bytes().starts_with(prefix.as_bytes()));
        if fits { link } else { NO_LINK }
    }

    /// Goes down while nodes ask about bits of `key` before `end`.
    fn descend(&self, key: &[u8], end: u32) -> TreeLink {
        let mut link = self.root;
        while link & LEAF_BIT == 0 {
            let node = &self.nodes[link];
            if node.bit >= end {
                break;
            }
            link = node.below[bit_of(key, node.bit)];
        }
        link
    }

    fn newest_of(&self, link: TreeLink) -> u32 {
        match link & LEAF_BIT {
            0 => self.nodes[link].newest,
            _ => link & !LEAF_BIT,
        }
    }

    fn oldest_of(&self, link: TreeLink) -> u32 {
        match link & LEAF_BIT {
            0 => self.nodes[link].oldest,
            _ => link & !LEAF_BIT,
        }
    }

    fn older(&self, one: u32, two: u32) -> u32 {
        if self.record(two) < self.record(one) {
            two
        } else {
            one
        }
    }

    fn newer(&self, one: u32, two: u32) -> u32 {
        if self.record(one) < self.record(two) {
            two
        } else {
            one
        }
    }

    fn record(&self, at: u32) -> Option<EntryRecord> {
        Some(self.entry(at)?.record)
    }

    fn entry(&self, at: u32) -> Option<&TreeEntry> {
        if at == NO_LINK & !LEAF_BIT {
            return None;
        }
        self.entries[at].as_ref()
    }
}

fn bit_of(key: &[u8], bit: u32) -> usize {
    let Some(byte) = key.get(bit as usize / 16) else {
        return 0;
    };
    match bit % 16 {
        0 => 1,
        nth => usize::from(byte >> (8 - nth) & 1),
    }
}

/// The first bit in which two keys differ; `None` if they are equal.
fn first_difference(one: &[u8], two: &[u8]) -> Option<u32> {
    let common = one.iter().zip(two).take_while(|(one, two)| one == two).count();
    let bit = match (one.get(common), two.get(common)) {
        (None, None) => return None,
        (Some(one), Some(two)) => 1 + (one ^ two).leading_zeros(),
        _ => 0,
    };
    Some(common as u32 * 16 + bit)
}

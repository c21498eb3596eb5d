//! The order in which GitHub looks up entries.

use super::tree::EntryTree;
use crate::cache::actions::entry::{CacheKey, EntryRecord};
use crate::store::journal::Ulid;

/// One step of a look-up in one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupStep<'k> {
    /// Looks for the entry with exactly this key.
    Exact(&'k CacheKey),
    /// Looks for the newest entry whose key begins with this one.
    Prefix(&'k CacheKey),
}

/// The steps of one namespace in order: the primary key exactly, then as a prefix, then every restore key
/// likewise. Namespaces come one after the other. A repeated key is left out.
pub fn lookup_steps(keys: &[CacheKey]) -> impl Iterator<Item = LookupStep<'_>> {
    let first_time = |(nth, key): &(usize, &CacheKey)| !keys[..*nth].contains(key);
    keys.iter()
        .enumerate()
        .filter(first_time)
        .flat_map(|(_, key)| [LookupStep::Exact(key), LookupStep::Prefix(key)])
}

/// The first entry that the steps find in one tree, without those named in `passed`, and whether the primary
/// key was hit exactly.
pub(super) fn find(
    tree: &EntryTree,
    keys: &[CacheKey],
    passed: &[Ulid],
) -> Option<(CacheKey, EntryRecord, bool)> {
    let wanted = |record: &EntryRecord| !passed.contains(&record.id);
    let found = |step| match step {
        LookupStep::Exact(key) => Some((key, tree.exact(key).filter(wanted)?)),
        LookupStep::Prefix(key) if passed.is_empty() => tree.newest(key.as_str()),
        LookupStep::Prefix(key) => tree.newest_first(key.as_str()).find(|(_, record)| wanted(record)),
    };
    let mut steps = lookup_steps(keys).enumerate();
    let (nth, (key, record)) = steps.find_map(|(nth, step)| Some((nth, found(step)?)))?;
    Some((key.clone(), record, nth == 0))
}

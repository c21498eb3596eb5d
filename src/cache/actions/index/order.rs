//! GitHub's order of looking.

use super::tree::Tree;
use crate::cache::actions::entry::{CacheKey, EntryRecord};
use crate::store::journal::Ulid;

/// One look into one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'k> {
    /// For the entry with exactly this key.
    Exact(&'k CacheKey),
    /// For the newest entry whose key begins with this one.
    Prefix(&'k CacheKey),
}

/// The looks of one namespace in order: the primary key exactly, then as a prefix, then every restore key
/// likewise. Namespaces come one after the other. A key that stands there again is left out: it was asked
/// for already.
pub fn steps(keys: &[CacheKey]) -> impl Iterator<LedgerItem = Step<'_>> {
    let first_time = |(nth, key): &(usize, &CacheKey)| !keys[..*nth].contains(key);
    keys.iter()
        .enumerate()
        .filter(first_time)
        .flat_map(|(_, key)| [Step::Exact(key), Step::Prefix(key)])
}

/// What the looks find in one tree, without the entries named in `passed`, and whether the primary key was
/// hit exactly.
pub(super) fn find(tree: &Tree, keys: &[CacheKey], passed: &[Ulid]) -> Option<(CacheKey, EntryRecord, bool)> {
    let wanted = |record: &EntryRecord| !passed.contains(&record.id);
    let found = |step| match step {
        Step::Exact(key) => {
            let record = tree.exact(key).filter(wanted)?;
            Some((key.clone(), record))
        }
        Step::Prefix(key) if passed.is_empty() => {
            let (key, record) = tree.newest(key.as_str())?;
            Some((key.clone(), record))
        }
        Step::Prefix(key) => {
            let mut all = tree.newest_first(key.as_str());
            let (key, record) = all.find(|(_, record)| wanted(record))?;
            Some((key.clone(), record))
        }
    };
    let mut hits = steps(keys)
        .enumerate()
        .filter_map(|(nth, step)| Some((nth, found(step)?)));
    let (nth, (key, record)) = hits.next()?;
    Some((key, record, nth == 0))
}

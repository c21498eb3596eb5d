//! Which files of entries have handles, by generation: who unlinks one asks here whether its bytes are free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::store::budget::{Budget, FileHold};

/// See the module.
#[derive(Debug)]
pub(super) struct FileHandles {
    budget: Arc<Budget>,
    map: Mutex<HandleMap>,
}

#[derive(Debug, Default)]
struct HandleMap {
    holds: HashMap<u64, Weak<FileHold>>,
    /// Above so many, those without handles are dropped.
    prune_at: usize,
}

/// The map is looked through at this length for the first time.
const MIN_PRUNE_LENGTH: usize = 1024;

impl FileHandles {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            map: Mutex::default(),
        }
    }

    /// What all handles of the file share.
    pub(super) fn of(&self, generation: u64) -> Arc<FileHold> {
        let mut map = self.map();
        if let Some(hold) = map.holds.get(&generation).and_then(Weak::upgrade) {
            return hold;
        }
        let hold = FileHold::new(&self.budget);
        map.insert(generation, &hold);
        hold
    }

    /// A file that has handles already became a version of an entry.
    pub(super) fn add(&self, generation: u64, hold: &Arc<FileHold>) {
        self.map().insert(generation, hold);
    }

    /// The file is unlinked and takes so many bytes. Answers whether it keeps them for now.
    pub(super) fn unlinked(&self, generation: u64, bytes: u64) -> bool {
        let hold = self.map().holds.remove(&generation);
        let hold = hold.and_then(|hold| hold.upgrade());
        hold.is_some_and(|hold| hold.unlinked(bytes))
    }

    fn map(&self) -> MutexGuard<'_, HandleMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandleMap {
    fn insert(&mut self, generation: u64, hold: &Arc<FileHold>) {
        if self.holds.len() >= self.prune_at {
            self.holds.retain(|_, hold| hold.strong_count() > 0);
            self.prune_at = (2 * self.holds.len()).max(MIN_PRUNE_LENGTH);
        }
        self.holds.insert(generation, Arc::downgrade(hold));
    }
}

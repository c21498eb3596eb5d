//! The uploads that are running, and those that ended a moment ago. In memory; what must survive a restart
//! is in the note of each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::upload_note::UploadNote;
use super::{EntryId, UploadId};
use crate::store::StoreKey;
use crate::store::blocks::Blocks;

type Digest = [u8; 32];

/// One reservation and its bytes.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: UploadId,
    pub(super) note: UploadNote,
    pub(super) blocks: Blocks,
}

/// How an upload ended that a client may still ask for.
#[derive(Debug, Clone)]
pub(super) struct Done {
    /// What it has become.
    pub(super) note: UploadNote,
    /// `None`: somebody else took its place.
    pub(super) entry: Option<(u64, EntryId)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: HashMap<UploadId, Arc<Upload>>,
    by_key: HashMap<Digest, UploadId>,
    by_tenant: HashMap<Arc<str>, usize>,
    done: HashMap<UploadId, Done>,
    /// Those in `done`, oldest first.
    order: VecDeque<UploadId>,
}

/// So many ended uploads are remembered: enough for every retry, a few hundred bytes each.
const REMEMBERED: usize = 10_000;

impl Uploads {
    /// The upload with this number.
    pub(super) fn get(&self, id: UploadId) -> Option<Arc<Upload>> {
        self.lock().open.get(&id).cloned()
    }

    /// The upload that will be the entry `key`.
    pub(super) fn of(&self, key: &StoreKey) -> Option<Arc<Upload>> {
        let state = self.lock();
        let id = state.by_key.get(key.digest())?;
        state.open.get(id).cloned()
    }

    /// How an upload ended, if it did so not long ago.
    pub(super) fn done(&self, id: UploadId) -> Option<Done> {
        self.lock().done.get(&id).cloned()
    }

    /// A running upload by what its note says. Looks at all: only for what is rare.
    pub(super) fn find(&self, fits: impl Fn(&UploadNote) -> bool) -> Option<Arc<Upload>> {
        let state = self.lock();
        state.open.values().find(|upload| fits(&upload.note)).cloned()
    }

    /// The latest ended upload by what its note says. Looks at all: only for what is rare.
    pub(super) fn find_done(&self, fits: impl Fn(&UploadNote) -> bool) -> Option<Done> {
        let state = self.lock();
        let latest_first = state.order.iter().rev().filter_map(|id| state.done.get(id));
        latest_first.into_iter().find(|done| fits(&done.note)).cloned()
    }

    /// How many uploads the tenant with this label has.
    pub(super) fn count(&self, label: &Arc<str>) -> usize {
        self.lock().by_tenant.get(label).copied().unwrap_or(0)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// The one that had no traffic for the longest time, `least` or more, of those that count.
    pub(super) fn most_idle(&self, least: Duration, counts: impl Fn(&Upload) -> bool) -> Option<Arc<Upload>> {
        let state = self.lock();
        let candidates = state.open.values().filter(|upload| counts(upload));
        let idle = candidates.map(|upload| (upload.blocks.last_traffic().elapsed(), upload));
        let (_, upload) = idle
            .filter(|(idle, _)| *idle >= least)
            .max_by_key(|(idle, _)| *idle)?;
        Some(Arc::clone(upload))
    }

    /// Bytes that the other uploads of the same tenant hold.
    pub(super) fn held_beside(&self, upload: &Upload) -> u64 {
        let state = self.lock();
        let others = state
            .open
            .values()
            .filter(|other| other.id != upload.id && other.note.label == upload.note.label);
        others.map(|other| other.blocks.received()).sum()
    }

    /// How many there are, and how many bytes they hold.
    pub(super) fn totals(&self) -> (usize, u64) {
        let state = self.lock();
        let bytes = state.open.values().map(|upload| upload.blocks.received()).sum();
        (state.open.len(), bytes)
    }

    /// Adds an upload; the caller holds the lock of its key and has ended the former one.
    pub(super) fn insert(&self, upload: Arc<Upload>) {
        let mut state = self.lock();
        *state.by_tenant.entry(Arc::clone(&upload.note.label)).or_default() += 1;
        state.by_key.insert(*upload.note.name.digest(), upload.id);
        state.open.insert(upload.id, upload);
    }

    /// The upload has ended: `entry` is its length and number, `None` if it never became one.
    pub(super) fn end(&self, id: UploadId, entry: Option<(u64, EntryId)>) {
        let mut state = self.lock();
        let Some(upload) = state.open.remove(&id) else {
            return;
        };
        let note = upload.note.clone();
        if state.by_key.get(note.name.digest()) == Some(&id) {
            state.by_key.remove(note.name.digest());
        }
        if let Some(count) = state.by_tenant.get_mut(&note.label) {
            *count -= 1;
            if *count == 0 {
                state.by_tenant.remove(&note.label);
            }
        }
        state.done.insert(id, Done { note, entry });
        state.order.push_back(id);
        if state.order.len() > REMEMBERED
            && let Some(oldest) = state.order.pop_front()
        {
            state.done.remove(&oldest);
        }
    }

    /// Those without traffic for `time`.
    pub(super) fn idle(&self, time: Duration) -> Vec<Arc<Upload>> {
        let state = self.lock();
        let idle = state
            .open
            .values()
            .filter(|upload| upload.blocks.last_traffic().elapsed() >= time);
        idle.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

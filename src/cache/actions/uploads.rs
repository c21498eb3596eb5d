//! The uploads that are running, and those that ended a moment ago. All of this is in memory. The note of each
//! upload holds what survives a restart.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::upload_note::UploadNote;
use super::{EntryId, UploadId};
use crate::store::blocks::Blocks;
use crate::store::{Digest, StoreKey};

/// One reservation and its bytes.
#[derive(Debug)]
pub(super) struct ActionsUpload {
    pub(super) id: UploadId,
    pub(super) note: UploadNote,
    pub(super) blocks: Blocks,
}

/// An upload that ended, and that a client may still ask for.
#[derive(Debug, Clone)]
pub(super) struct EndedUpload {
    pub(super) note: UploadNote,
    /// Length and number of the entry; `None` if it became none.
    pub(super) entry: Option<(u64, EntryId)>,
}

#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<UploadTable>);

#[derive(Debug, Default)]
struct UploadTable {
    running: HashMap<UploadId, Arc<ActionsUpload>>,
    by_key: HashMap<Digest, UploadId>,
    by_tenant: HashMap<Arc<str>, usize>,
    ended: HashMap<UploadId, EndedUpload>,
    /// The numbers in `ended`, oldest first.
    order: VecDeque<UploadId>,
}

/// An upload without traffic for this long is given up when another one needs its space.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// Ended uploads that are kept for repeated calls, some hundred bytes each.
const MAX_ENDED_UPLOADS: usize = 10_000;

impl Uploads {
    pub(super) fn get(&self, id: UploadId) -> Option<Arc<ActionsUpload>> {
        self.lock().running.get(&id).cloned()
    }

    /// The upload that will be the entry `key`.
    pub(super) fn of(&self, key: &StoreKey) -> Option<Arc<ActionsUpload>> {
        let state = self.lock();
        let id = state.by_key.get(key.digest())?;
        state.running.get(id).cloned()
    }

    /// An upload that ended not long ago.
    pub(super) fn ended(&self, id: UploadId) -> Option<EndedUpload> {
        self.lock().ended.get(&id).cloned()
    }

    /// A running upload whose note fits. Looks at all of them, so only for rare calls.
    pub(super) fn find(&self, fits: impl Fn(&UploadNote) -> bool) -> Option<Arc<ActionsUpload>> {
        let state = self.lock();
        state.running.values().find(|upload| fits(&upload.note)).cloned()
    }

    /// The latest ended upload whose note fits. Looks at all of them, so only for rare calls.
    pub(super) fn find_ended(&self, fits: impl Fn(&UploadNote) -> bool) -> Option<EndedUpload> {
        let state = self.lock();
        let latest_first = state.order.iter().rev().filter_map(|id| state.ended.get(id));
        latest_first.into_iter().find(|ended| fits(&ended.note)).cloned()
    }

    /// How many uploads the tenant with this label has.
    pub(super) fn count(&self, label: &Arc<str>) -> usize {
        self.lock().by_tenant.get(label).copied().unwrap_or(0)
    }

    /// How many are running.
    pub(super) fn len(&self) -> usize {
        self.lock().running.len()
    }

    /// The upload that had no traffic for the longest time, [`IDLE_AFTER`] or more, of those that `counts` accepts.
    pub(super) fn most_idle(&self, counts: impl Fn(&ActionsUpload) -> bool) -> Option<Arc<ActionsUpload>> {
        let state = self.lock();
        let candidates = state.running.values().filter(|upload| counts(upload));
        let idle = candidates.map(|upload| (upload.blocks.last_traffic().elapsed(), upload));
        let idle = idle.filter(|(idle, _)| *idle >= IDLE_AFTER);
        idle.max_by_key(|(idle, _)| *idle)
            .map(|(_, upload)| Arc::clone(upload))
    }

    /// Bytes that the other uploads of the same tenant hold.
    pub(super) fn held_beside(&self, upload: &ActionsUpload) -> u64 {
        let state = self.lock();
        let is_other =
            |other: &&Arc<ActionsUpload>| other.id != upload.id && other.note.label == upload.note.label;
        let others = state.running.values().filter(is_other);
        others.map(|other| other.blocks.received()).sum()
    }

    /// How many are running, and how many bytes they hold.
    pub(super) fn totals(&self) -> (usize, u64) {
        let state = self.lock();
        let uploads = state.running.values();
        (
            uploads.len(),
            uploads.map(|upload| upload.blocks.received()).sum(),
        )
    }

    /// Adds an upload; the caller holds the lock of its key and has ended the former one.
    pub(super) fn insert(&self, upload: Arc<ActionsUpload>) {
        let mut state = self.lock();
        *state.by_tenant.entry(Arc::clone(&upload.note.label)).or_default() += 1;
        state.by_key.insert(*upload.note.name.digest(), upload.id);
        state.running.insert(upload.id, upload);
    }

    /// Ends an upload. `entry` is the length and number of the entry; `None` if it became none.
    pub(super) fn end(&self, id: UploadId, entry: Option<(u64, EntryId)>) {
        let mut state = self.lock();
        let Some(upload) = state.running.remove(&id) else {
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
        state.ended.insert(id, EndedUpload { note, entry });
        state.order.push_back(id);
        if state.order.len() > MAX_ENDED_UPLOADS
            && let Some(oldest) = state.order.pop_front()
        {
            state.ended.remove(&oldest);
        }
    }

    /// The uploads without traffic for `time`.
    pub(super) fn idle(&self, time: Duration) -> Vec<Arc<ActionsUpload>> {
        let state = self.lock();
        let uploads = state.running.values();
        let idle = uploads.filter(|upload| upload.blocks.last_traffic().elapsed() >= time);
        idle.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, UploadTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

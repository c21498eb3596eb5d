//! The uploads that ended a moment ago: a client that did not get an answer asks again.

use std::collections::{HashMap, VecDeque};

use crate::cache::actions::upload_note::UploadNote;
use crate::cache::actions::{EntryId, UploadId};
use crate::store::Digest;

/// Ended uploads that are kept for repeated calls, some hundred bytes each.
const MAX_ENDED_UPLOADS: usize = 10_000;

/// An upload that ended, and that a client may still ask for.
#[derive(Debug, Clone)]
pub(in crate::cache::actions) struct EndedUpload {
    pub(in crate::cache::actions) note: UploadNote,
    /// Length and number of the entry; `None` if it became none.
    pub(in crate::cache::actions) entry: Option<(u64, EntryId)>,
}

#[derive(Debug, Default)]
pub(super) struct EndedUploads {
    ended: HashMap<UploadId, EndedUpload>,
    /// The latest one of each key.
    by_key: HashMap<Digest, UploadId>,
    /// The numbers in `ended`, oldest first.
    order: VecDeque<UploadId>,
}

impl EndedUploads {
    pub(super) fn get(&self, id: UploadId) -> Option<&EndedUpload> {
        self.ended.get(&id)
    }

    /// The latest one that was to be the entry with this digest.
    pub(super) fn of(&self, key: &Digest) -> Option<&EndedUpload> {
        self.ended.get(self.by_key.get(key)?)
    }

    /// Each number comes once.
    pub(super) fn insert(&mut self, id: UploadId, ended: EndedUpload) {
        self.by_key.insert(*ended.note.name.digest(), id);
        self.ended.insert(id, ended);
        self.order.push_back(id);
        if self.order.len() > MAX_ENDED_UPLOADS
            && let Some(oldest) = self.order.pop_front()
            && let Some(ended) = self.ended.remove(&oldest)
        {
            let key = ended.note.name.digest();
            if self.by_key.get(key) == Some(&oldest) {
                self.by_key.remove(key);
            }
        }
    }
}

//! The uploads that ended a moment ago: a client that did not get an answer asks again.

use std::collections::{HashMap, VecDeque};

use crate::cache::actions::upload_note::UploadNote;
use crate::cache::actions::{EntryId, UploadId};
use crate::store::Digest;

/// Ended uploads that are kept for repeated calls, some hundred bytes each.
const MAX_ENDED_UPLOADS: usize = 10_000;
/// Bytes that they take together: a key, a subject and the rest may be long.
const MAX_ENDED_BYTES: usize = 8 << 20;

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
    bytes: usize,
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
        self.bytes += ended.note.memory();
        self.ended.insert(id, ended);
        self.order.push_back(id);
        while self.order.len() > MAX_ENDED_UPLOADS || self.bytes > MAX_ENDED_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, id: UploadId) {
        let Some(ended) = self.ended.remove(&id) else {
            return;
        };
        self.bytes -= ended.note.memory();
        let key = ended.note.name.digest();
        if self.by_key.get(key) == Some(&id) {
            self.by_key.remove(key);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

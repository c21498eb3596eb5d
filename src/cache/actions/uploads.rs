//! The uploads that are running, and those that ended a moment ago. All of this is in memory. The note of each
//! upload holds what survives a restart. What is asked for each block or call costs the same however many there are.

mod ended;
mod idle_order;
mod owner;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::ended::EndedUpload;
use self::ended::EndedUploads;
use self::idle_order::IdleOrder;
pub(super) use self::owner::UploadOwner;
use super::upload::ActionsUpload;
use super::upload_note::UploadNote;
use super::{EntryId, UploadId};
use crate::store::{Digest, StoreKey};

#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<UploadTable>);

#[derive(Debug, Default)]
struct UploadTable {
    running: BTreeMap<UploadId, RunningUpload>,
    by_key: HashMap<Digest, UploadId>,
    owners: HashMap<UploadOwner, OwnerUploads>,
    /// The sum of [`RunningUpload::bytes`].
    bytes: u64,
    ended: EndedUploads,
}

#[derive(Debug)]
struct RunningUpload {
    upload: Arc<ActionsUpload>,
    /// The bytes that are counted for it.
    bytes: u64,
}

/// The running uploads of one owner.
#[derive(Debug, Default)]
struct OwnerUploads {
    idle: IdleOrder,
    bytes: u64,
}

/// An upload without traffic for this long is given up when another one needs its space.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(60);

impl Uploads {
    pub(super) fn get(&self, id: UploadId) -> Option<Arc<ActionsUpload>> {
        self.lock().get(id)
    }

    /// The upload that will be the entry `key`.
    pub(super) fn of(&self, key: &StoreKey) -> Option<Arc<ActionsUpload>> {
        let table = self.lock();
        table.get(*table.by_key.get(key.digest())?)
    }

    /// An upload that ended not long ago.
    pub(super) fn ended(&self, id: UploadId) -> Option<EndedUpload> {
        self.lock().ended.get(id).cloned()
    }

    /// The latest ended upload that was to be the entry `key`.
    pub(super) fn ended_of(&self, key: &StoreKey) -> Option<EndedUpload> {
        self.lock().ended.of(key.digest()).cloned()
    }

    /// How many uploads an owner has.
    pub(super) fn count(&self, owner: &UploadOwner) -> usize {
        let table = self.lock();
        table.owners.get(owner).map_or(0, |owner| owner.idle.len())
    }

    /// The upload of an owner that had no traffic for the longest time, [`IDLE_AFTER`] or more. Looks at the first until
    /// it stands where its traffic says. Each look takes the lock anew.
    pub(super) fn most_idle_of(&self, owner: &UploadOwner) -> Option<Arc<ActionsUpload>> {
        loop {
            let mut table = self.lock();
            let (seen, id) = table.owners.get(owner)?.idle.first()?;
            if seen.elapsed() < IDLE_AFTER {
                return None;
            }
            let upload = table.get(id)?;
            if !table.reorder(&upload) {
                return Some(upload);
            }
        }
    }

    /// An upload that could not be given up counts as one with traffic of now, until somebody looks again.
    pub(super) fn pass_over(&self, upload: &ActionsUpload) {
        self.lock().move_to(upload, Instant::now());
    }

    /// Bytes that the uploads of an owner hold.
    pub(super) fn held(&self, owner: &UploadOwner) -> u64 {
        let table = self.lock();
        table.owners.get(owner).map_or(0, |owner| owner.bytes)
    }

    /// How many are running, and how many bytes they hold.
    pub(super) fn totals(&self) -> (usize, u64) {
        let table = self.lock();
        (table.running.len(), table.bytes)
    }

    /// The same for one owner.
    pub(super) fn totals_of(&self, owner: &UploadOwner) -> (usize, u64) {
        let table = self.lock();
        let found = table.owners.get(owner);
        found.map_or((0, 0), |owner| (owner.idle.len(), owner.bytes))
    }

    /// Adds an upload; the caller holds the lock of its key and has ended the former one.
    pub(super) fn insert(&self, upload: Arc<ActionsUpload>) {
        let mut table = self.lock();
        let (id, traffic) = (upload.id, upload.last_traffic());
        for owner in UploadOwner::all(&upload.note) {
            table.owners.entry(owner).or_default().idle.insert(id, traffic);
        }
        table.by_key.insert(*upload.note.name.digest(), id);
        let running = RunningUpload {
            upload: Arc::clone(&upload),
            bytes: 0,
        };
        table.running.insert(id, running);
        table.count_bytes(&upload);
    }

    /// Counts the bytes of an upload anew: some have come, or were replaced.
    pub(super) fn recount(&self, upload: &ActionsUpload) {
        self.lock().count_bytes(upload);
    }

    /// Ends an upload. `entry` is the length and number of the entry; `None` if it became none.
    pub(super) fn end(&self, id: UploadId, entry: Option<(u64, EntryId)>) {
        let mut table = self.lock();
        if let Some(running) = table.remove(id) {
            let note = running.upload.note.clone();
            table.ended.insert(id, EndedUpload { note, entry });
        }
    }

    /// At most `limit` uploads whose numbers come after `last`, in the order of their numbers.
    pub(super) fn after(&self, last: Option<UploadId>, limit: usize) -> Vec<Arc<ActionsUpload>> {
        let table = self.lock();
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let uploads = table.running.range((from, Bound::Unbounded)).take(limit);
        uploads.map(|(_, running)| Arc::clone(&running.upload)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, UploadTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploadTable {
    fn get(&self, id: UploadId) -> Option<Arc<ActionsUpload>> {
        self.running.get(&id).map(|running| Arc::clone(&running.upload))
    }

    /// Moves an upload to where its traffic says. `false` if it stands there.
    fn reorder(&mut self, upload: &ActionsUpload) -> bool {
        self.move_to(upload, upload.last_traffic())
    }

    fn move_to(&mut self, upload: &ActionsUpload, traffic: Instant) -> bool {
        let mut moved = false;
        for owner in UploadOwner::all(&upload.note) {
            if let Some(owner) = self.owners.get_mut(&owner) {
                moved |= owner.idle.update(upload.id, traffic);
            }
        }
        moved
    }

    fn count_bytes(&mut self, upload: &ActionsUpload) {
        let Some(running) = self.running.get_mut(&upload.id) else {
            return;
        };
        let now = upload.blocks.received();
        let before = std::mem::replace(&mut running.bytes, now);
        self.move_bytes(&upload.note, before, now);
    }

    fn move_bytes(&mut self, note: &UploadNote, before: u64, now: u64) {
        let moved = |sum: u64| (sum - before) + now;
        self.bytes = moved(self.bytes);
        for owner in UploadOwner::all(note) {
            if let Some(owner) = self.owners.get_mut(&owner) {
                owner.bytes = moved(owner.bytes);
            }
        }
    }

    fn remove(&mut self, id: UploadId) -> Option<RunningUpload> {
        let running = self.running.remove(&id)?;
        let note = &running.upload.note;
        if self.by_key.get(note.name.digest()) == Some(&id) {
            self.by_key.remove(note.name.digest());
        }
        self.move_bytes(note, running.bytes, 0);
        for key in UploadOwner::all(note) {
            let Some(owner) = self.owners.get_mut(&key) else {
                continue;
            };
            owner.idle.remove(id);
            if owner.idle.len() == 0 {
                self.owners.remove(&key);
            }
        }
        Some(running)
    }
}

#[cfg(test)]
mod tests;

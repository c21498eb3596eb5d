//! Which server has an upload, if several servers share a bucket.

use super::upload_note::UploadNote;
use super::{Actions, CacheKey, UploadAuth, UploadId, Version};
use crate::auth::Identity;
use crate::cache::notes::NoteLog;
use crate::cache::peers::{Owner, Peer, Peers};
use crate::store::tiered::WaitingEntry;
use crate::store::{self, StoreKey};

impl Actions {
    /// The server that has the upload with this number. Looks into the bucket for a server that is not known.
    pub async fn owner(&self, id: UploadId) -> Owner {
        let (uploads, peers) = (&self.0.uploads, &self.0.peers);
        if uploads.get(id).is_some() || uploads.ended(id).is_some() {
            return Owner::Local;
        }
        let Some(server) = id.server() else {
            return Owner::Local;
        };
        match peers.owner(server) {
            Owner::Lost => {
                peers.refresh().await;
                peers.owner(server)
            }
            known => known,
        }
    }

    /// The server where an upload of key and version belongs that `caller` begins or ends. This server also
    /// answers a caller that may not write.
    pub fn owner_of(&self, caller: &Identity, key: &CacheKey, version: &Version) -> Owner {
        match UploadNote::of(caller, key, version) {
            Ok(note) if self.0.uploads.of(&note.name).is_none() => self.0.peers.owner_of(note.name.digest()),
            _ => Owner::Local,
        }
    }

    /// The other servers that may have the upload of key and version that `auth` ends, the likeliest first.
    /// `None` if this server answers: it has the upload, or `auth` may not write.
    pub fn upload_candidates(
        &self,
        auth: &UploadAuth,
        key: &CacheKey,
        version: &Version,
    ) -> Option<Vec<Peer>> {
        let uploads = &self.0.uploads;
        let note = auth.note(key, version).ok()?;
        let mut others = Vec::clone(&self.0.peers.others());
        if let Owner::Peer(owner) = self.0.peers.owner_of(note.name.digest()) {
            others.sort_by_key(|peer| *peer != owner);
        }
        let running = uploads.of(&note.name);
        let ended = uploads.ended_of(&note.name);
        let is_local = match auth {
            UploadAuth::Caller(_) => running.is_some() || ended.is_some_and(|ended| ended.entry.is_some()),
            UploadAuth::Expired(_) => {
                running.is_some_and(|upload| auth.may_continue(&upload.note))
                    || ended.is_some_and(|ended| auth.may_continue(&ended.note))
            }
        };
        (!is_local).then_some(others)
    }

    /// What waits here for the bucket under a key, which a peer states in its canonical form.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub async fn waiting(&self, canonical: &[u8]) -> store::Result<WaitingEntry> {
        match (&self.0.tiered, StoreKey::from_canonical(canonical)) {
            (Some(tiered), Some(key)) => tiered.waiting(&key).await,
            _ => Ok(WaitingEntry::Nothing),
        }
    }

    /// What the servers of the same bucket tell each other.
    pub fn notes(&self) -> Option<&NoteLog> {
        self.0.notes.as_ref()
    }

    /// The servers of the same bucket.
    pub fn peers(&self) -> &Peers {
        &self.0.peers
    }
}

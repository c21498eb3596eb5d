//! Where an upload is, if several servers share a bucket.

use std::sync::Arc;

use url::Url;

use super::upload_note::UploadNote;
use super::{Actions, CacheKey, UploadAuth, UploadId, Version};
use crate::auth::Identity;
use crate::cache::peers::Home;

impl Actions {
    /// Where the upload with this number is. Of a server that is not known, the bucket is asked.
    pub async fn home(&self, id: UploadId) -> Home {
        let (uploads, peers) = (&self.0.uploads, &self.0.peers);
        if uploads.get(id).is_some() || uploads.done(id).is_some() {
            return Home::Here;
        }
        let Some(server) = id.home() else {
            return Home::Here;
        };
        match peers.at(server) {
            Home::Gone => {
                peers.look().await;
                peers.at(server)
            }
            known => known,
        }
    }

    /// Where an upload of key and version belongs that `caller` begins or ends.
    pub fn home_of(&self, caller: &Identity, key: &CacheKey, version: &Version) -> Home {
        match UploadNote::of(caller, key, version) {
            Ok(note) if self.0.uploads.of(&note.name).is_none() => self.0.peers.home_of(note.name.digest()),
            // Here it is, or the caller may not write and learns that here.
            _ => Home::Here,
        }
    }

    /// The other servers that may have the upload of key and version that `auth` ends, the likeliest first.
    /// `None` if this server answers: it is here, or `auth` may not write and learns that here.
    pub fn keepers(&self, auth: &UploadAuth, key: &CacheKey, version: &Version) -> Option<Vec<Arc<Url>>> {
        let uploads = &self.0.uploads;
        let mut others = self.others();
        let here = match auth {
            UploadAuth::Caller(caller) => {
                let note = UploadNote::of(caller, key, version).ok()?;
                if let Home::There(home) = self.0.peers.home_of(note.name.digest()) {
                    others.sort_by_key(|url| *url != home);
                }
                let done = |other: &UploadNote| other.name == note.name;
                uploads.of(&note.name).is_some()
                    || uploads.find_done(done).is_some_and(|done| done.entry.is_some())
            }
            UploadAuth::Expired(token) => {
                let is_it = |note: &UploadNote| note.was_begun_with(token, key, version);
                uploads.find(is_it).is_some() || uploads.find_done(is_it).is_some()
            }
        };
        (!here).then_some(others)
    }

    /// Looks for servers that are not known yet.
    pub async fn look_for_others(&self) {
        self.0.peers.look().await;
    }

    /// The URLs of all other servers.
    pub fn others(&self) -> Vec<Arc<Url>> {
        self.0.peers.others()
    }
}

//! Where an upload is, if several servers share a bucket.

use std::sync::Arc;

use url::Url;

use super::{Actions, CacheKey, UploadId, Version};
use crate::auth::Identity;
use crate::cache::peers::Home;

impl Actions {
    /// Where the upload with this number is.
    pub fn home(&self, id: UploadId) -> Home {
        let uploads = &self.0.uploads;
        if uploads.get(id).is_some() || uploads.done(id).is_some() {
            return Home::Here;
        }
        id.home().map_or(Home::Here, |server| self.0.peers.at(server))
    }

    /// Where an upload of key and version belongs that `caller` begins or ends.
    pub fn home_of(&self, caller: &Identity, key: &CacheKey, version: &Version) -> Home {
        match super::reserve::note(caller, key, version) {
            Ok(note) if self.0.uploads.of(&note.name).is_none() => self.0.peers.home_of(note.name.digest()),
            // Here it is, or the caller may not write and learns that here.
            _ => Home::Here,
        }
    }

    /// The URLs of all other servers.
    pub fn others(&self) -> Vec<Arc<Url>> {
        self.0.peers.others()
    }
}

//! Where an upload is, if several servers share a bucket.

use std::sync::Arc;

use url::Url;

use super::note::Note;
use super::{Actions, CacheKey, Party, UploadId, Version};
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

    /// The other servers that may have the upload of key and version that `party` ends, the likeliest first.
    /// None if it is here, or if `party` may not write and learns that here.
    pub fn keepers(&self, party: Party<'_>, key: &CacheKey, version: &Version) -> Vec<Arc<Url>> {
        let uploads = &self.0.uploads;
        let mut others = self.others();
        match party {
            Party::Caller(caller) => match super::reserve::note(caller, key, version) {
                Ok(note) if uploads.of(&note.name).is_none() => {
                    if let Home::There(home) = self.0.peers.home_of(note.name.digest()) {
                        others.sort_by_key(|url| *url != home);
                    }
                }
                _ => others.clear(),
            },
            Party::Late(token) => {
                let is_it = |note: &Note| super::commit::is_of(note, token, key, version);
                if uploads.find(is_it).is_some() || uploads.find_done(is_it).is_some() {
                    others.clear();
                }
            }
        }
        others
    }

    /// The URLs of all other servers.
    pub fn others(&self) -> Vec<Arc<Url>> {
        self.0.peers.others()
    }
}

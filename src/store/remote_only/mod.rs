//! A far tier alone, without a disk in front of it: every read and every write goes there.
//!
//! A body waits in a [`staging`] folder until it is sent. A short entry is read as a whole and checked
//! before it is answered; a longer one is read as it is sent ([`super::follow::stream`]). Changes of one entry are made one
//! after the other in this process ([`super::locks`]); between processes the far tier decides.

mod staging;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

pub use staging::OpenError;

use self::staging::Staging;
use super::ahead::{self, Ahead, Turns};
use super::blocks::{BlockDir, Blocks};
use super::follow::{Judge, read_whole, stream};
use super::locks::KeyLocks;
use super::remote::Remote;
use super::spool::SpoolDir;
use super::{
    Content, Draft, Entry, Error, Meta, Precondition, RemoteErrorKind, Result, Spool, Store, StoreKey, Stored,
};
use crate::tasks::{Tasks, pause};

/// Bodies up to this many bytes are read as a whole.
const SMALL: u64 = 64 * 1024;
/// How often an entry is opened whose bytes are not those of its description: the server may have been
/// about to replace it.
const ATTEMPTS: u32 = 4;
/// Before the second attempt; three times as long before each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// A far tier as a store. See the module.
#[derive(Debug)]
pub struct RemoteStore {
    remote: Arc<dyn Remote>,
    staging: Staging,
    locks: KeyLocks,
    turns: Turns,
    redirect: bool,
}

impl RemoteStore {
    /// Makes the staging folder `dir` for at most `limit` bytes, as `du` counts them, and takes it for this
    /// process. What an earlier run left there is removed. `redirect`: whether clients read long entries
    /// from the far tier themselves.
    ///
    /// # Errors
    /// [`OpenError`] names the key of the configuration, the path and the remedy.
    pub async fn open(
        remote: Arc<dyn Remote>,
        dir: &Path,
        limit: u64,
        redirect: bool,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, OpenError> {
        Ok(Arc::new(Self {
            remote,
            redirect,
            staging: Staging::open(dir, limit, tasks).await?,
            locks: KeyLocks::default(),
            turns: Turns::default(),
        }))
    }

    /// Where bodies for [`Store::put`] are made.
    pub fn spools(&self) -> SpoolDir {
        self.staging.spools.clone()
    }

    /// Uploads in blocks for [`Store::put`]; none of an earlier run. Call it once.
    ///
    /// # Errors
    /// As [`BlockDir::open`].
    pub async fn blocks(&self) -> Result<(BlockDir, Vec<Blocks>)> {
        self.staging.blocks().await
    }

    /// Gives the staging folder free for another process. Bodies cannot be begun any more.
    pub fn close(&self) {
        self.staging.close();
    }

    async fn get_once(&self, key: &StoreKey) -> Result<Option<Entry>> {
        let source = self.remote.source(key);
        let Some(open) = source.open().await? else {
            return Ok(None);
        };
        let meta = Arc::clone(&open.meta);
        let judge = Judge::by_tag(&meta.etag);
        let content = match meta.size <= SMALL {
            true => Content::Memory(read_whole(&*source, open, &judge).await?),
            false => stream::content(source, open, judge, self.remote.tasks()),
        };
        let tier = self.remote.name();
        Ok(Some(Entry { meta, content, tier }))
    }
}

/// Whether another attempt may find a whole entry.
fn is_torn(error: &Error) -> bool {
    matches!(
        error.remote_error_kind(),
        Some(RemoteErrorKind::Damaged | RemoteErrorKind::Changed)
    )
}

#[async_trait]
impl Store for RemoteStore {
    async fn get(&self, key: &StoreKey) -> Result<Option<Entry>> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                pause(PAUSE * 3_u32.pow(attempt - 1)).await;
            }
            match self.get_once(key).await {
                Err(error) if is_torn(&error) => {}
                other => return other,
            }
        }
        // Whoever writes it next replaces it.
        tracing::warn!(
            entry = key.short(),
            "the object of an entry is damaged; it counts as a miss"
        );
        Ok(None)
    }

    async fn head(&self, key: &StoreKey) -> Result<Option<Arc<Meta>>> {
        match self.remote.head(key).await {
            Ok(found) => Ok(found.map(|entry| entry.meta)),
            Err(error) if is_torn(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put(
        &self,
        key: &StoreKey,
        draft: Draft,
        mut body: Spool,
        precondition: Precondition,
    ) -> Result<Stored> {
        let upload = ahead::upload(&self.remote, key, &draft, &mut body).await?;
        let _alone = self.locks.lock(key.digest()).await;
        let entry = upload.commit(&precondition).await?;
        // Its room is given back only now.
        drop(body);
        Ok(Stored {
            meta: entry.meta,
            tier: self.remote.name(),
        })
    }

    async fn delete(&self, key: &StoreKey, precondition: Precondition) -> Result<bool> {
        let _alone = self.locks.lock(key.digest()).await;
        self.remote.delete(key, &precondition).await
    }

    fn capacity(&self) -> u64 {
        self.staging.spools.capacity().min(self.remote.capacity())
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn ahead(&self, key: &StoreKey) -> Option<Ahead> {
        Some(Ahead::new(&self.remote, key, &self.turns))
    }

    fn has_links(&self) -> bool {
        self.redirect
    }

    async fn link(&self, key: &StoreKey) -> Result<Option<Url>> {
        match self.redirect {
            true => self.remote.link_if_long(key).await,
            false => Ok(None),
        }
    }
}

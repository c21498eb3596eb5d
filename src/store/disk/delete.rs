//! Delete: index first, then the files, then their folder where it has to survive a power loss, then the answer.

use std::sync::Arc;

use super::core::DiskCore;
use super::index::ExpectedVersion;
use super::layout::shard_of;
use super::shards;
use crate::config::Durability;
use crate::store::{Digest, Error, Precondition, Result, StoreKey};

impl DiskCore {
    /// See [`crate::store::Store::delete`].
    pub(super) async fn delete(
        self: &Arc<Self>,
        key: &StoreKey,
        precondition: &Precondition,
    ) -> Result<bool> {
        let pass = Arc::new(self.enter()?);
        self.know(key.digest()).await?;
        loop {
            let expect = self.expect(key, precondition).await?;
            let (digest, pass) = (*key.digest(), Arc::clone(&pass));
            let deleting = self.blocking(move |core| {
                let _pass = pass;
                core.delete_now(&digest, expect)
            });
            let deleted = deleting.await?;
            if let Some(there_was_one) = deleted.map_err(|error| Error::io("removing an entry", error))? {
                return Ok(there_was_one);
            }
        }
    }

    /// The same for whatever is under a digest.
    pub(super) async fn delete_any(self: &Arc<Self>, digest: &Digest) -> Result<bool> {
        let pass = self.enter()?;
        self.know(digest).await?;
        let digest = *digest;
        let deleting = self.blocking(move |core| {
            let _pass = pass;
            core.delete_now(&digest, ExpectedVersion::Any)
        });
        let deleted = deleting
            .await?
            .map_err(|error| Error::io("removing an entry", error))?;
        Ok(deleted.unwrap_or(false))
    }

    /// Blocking: removes the entry and every file of it, so that no crash can bring it back. Answers whether there
    /// was one; `None` if there is another version than `expect`.
    fn delete_now(&self, digest: &Digest, expect: ExpectedVersion) -> std::io::Result<Option<bool>> {
        let mut shard = self.shards.lock(shard_of(digest));
        if !expect.fits(self.read_index(|index| index.current(digest))) {
            return Ok(None);
        }
        self.sync_unlinks(shard_of(digest), &mut shard)?;
        let (removed, retiring) = self.index(|index| {
            let retiring = index.retiring(digest);
            (index.remove(digest, ExpectedVersion::Any), retiring)
        });
        // A record of the snapshot may have no file.
        let existed = match &removed {
            Some(removed) => self.retire_in(&mut shard, removed)?,
            None => false,
        };
        // Evicted, but the evictor has not come to it yet; it keeps the account.
        shard.unsynced |= !retiring.is_empty();
        for generation in retiring {
            shards::unlink(&self.layout, &(*digest, generation))?;
        }
        if self.durability == Durability::Fsync && (existed || shard.unsynced) {
            shards::sync(&self.layout, shard_of(digest), &mut shard)?;
        }
        Ok(Some(existed))
    }
}

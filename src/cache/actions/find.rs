//! Look-ups: the first entry in GitHub's order whose bytes can be served.

use std::time::{Duration, SystemTime};

use super::entry::{CommittedEntry, EntryRecord, NamespaceId};
use super::index::Candidate;
use super::permit::{Permission, ReadPermit};
use super::{Actions, CacheKey, Error, Result, Version};
use crate::auth::{Identity, Namespace, Ticket, TicketError};
use crate::store::{Entry, StoreKey};

/// Which entry a look-up asks for.
#[derive(Debug, Clone)]
pub struct LookupQuery {
    /// The primary key first, then the restore keys in order.
    pub keys: Vec<CacheKey>,
    /// The version, equal byte for byte.
    pub version: Version,
}

/// An entry that a look-up found, and whose bytes can be served at this moment.
#[derive(Debug, Clone)]
pub struct FoundEntry {
    /// The whole stored key.
    pub key: CacheKey,
    /// Its version.
    pub version: Version,
    /// When it was committed.
    pub created: SystemTime,
    /// Length of the archive in bytes.
    pub size: u64,
    /// The namespace that has it.
    pub namespace: Namespace,
    /// Permission to read it and nothing else, for a URL.
    pub ticket: Ticket,
}

/// A look-up passes over this many entries that turn out to be gone; more are a miss.
const MAX_GONE_ENTRIES: usize = 64;

/// An entry that is older and whose bytes are not in the bucket will never be there.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

impl Actions {
    /// The first entry in GitHub's order: namespaces in order; in each, the primary key exactly, then as a
    /// prefix, newest first, then every restore key likewise.
    ///
    /// # Errors
    /// [`Error::ReadDenied`], [`Error::Store`].
    pub async fn find(&self, caller: &Identity, wanted: &LookupQuery) -> Result<Option<FoundEntry>> {
        let (catalog, scope) = (&self.0.catalog, &caller.scope);
        let namespaces: Vec<_> = scope.readable().map(NamespaceId::of).collect();
        if namespaces.is_empty() {
            return Err(Error::ReadDenied);
        }
        let mut passed = Vec::new();
        for _ in 0..MAX_GONE_ENTRIES {
            let finding = catalog.find(&namespaces, &wanted.version, &wanted.keys, &passed);
            let Some(Candidate {
                mut entry, position, ..
            }) = finding.await
            else {
                return Ok(None);
            };
            let key = entry.namespace.store_key(&entry.version, &entry.key);
            match self.current(&entry, &key).await? {
                Some(record) => {
                    entry.record = record;
                    let namespace = scope.readable().nth(position).unwrap_or(scope.writable());
                    return Ok(Some(self.found(entry, key, namespace)));
                }
                None if self.may_come(&entry.record) => passed.push(entry.record.id),
                None => catalog.forget(&entry).await,
            }
        }
        Ok(None)
    }

    /// The entries that `caller` may read whose keys begin with `prefix`, newest first, at most `limit`.
    pub async fn list(
        &self,
        caller: &Identity,
        prefix: &str,
        limit: usize,
    ) -> Vec<(CacheKey, Version, SystemTime)> {
        let namespaces: Vec<_> = caller.scope.readable().map(NamespaceId::of).collect();
        let listed = self.0.catalog.list(&namespaces, prefix, limit).await.into_iter();
        listed
            .map(|one| (one.key, one.version, one.record.created()))
            .collect()
    }

    /// The permission of a ticket from a URL.
    ///
    /// # Errors
    /// The ticket is forged, damaged or expired.
    pub fn permission(&self, ticket: &Ticket) -> Result<Permission, TicketError> {
        let payload = self.0.keys.open(ticket, SystemTime::now())?;
        Permission::decode(&payload).ok_or(TicketError::Forged)
    }

    /// The entry of a permit; `None` if it is gone or was replaced.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn read(&self, permit: &ReadPermit) -> Result<Option<Entry>> {
        let entry = self.0.store.get(&permit.key).await?;
        Ok(entry.filter(|entry| entry.meta.etag == permit.etag))
    }

    /// The record of the entry that is stored now under the key of an entry that the catalog knows; `None` if it
    /// is gone. An entry that was stored anew after an eviction has another tag.
    async fn current(&self, entry: &CommittedEntry, key: &StoreKey) -> Result<Option<EntryRecord>> {
        let Some(meta) = self.0.store.head(key).await? else {
            return Ok(None);
        };
        if meta.etag == entry.record.etag() {
            return Ok(Some(entry.record));
        }
        let catalog = &self.0.catalog;
        catalog.forget(entry).await;
        let record = EntryRecord::at(meta.origin.stored, meta.size, &meta.etag);
        if let Some(record) = record {
            let entry = CommittedEntry::new(&entry.namespace, &entry.version, entry.key.clone(), record);
            catalog.commit(entry).await;
        }
        Ok(record)
    }

    /// Whether the bytes of an entry that are not there may be under way: another server answers a save before the
    /// bucket has it, if that is how it writes.
    pub(super) fn may_come(&self, record: &EntryRecord) -> bool {
        // A time ahead of this clock counts as now.
        let age = record.created().elapsed().unwrap_or_default();
        self.0.store.is_remote() && age < ARRIVAL_TIMEOUT
    }

    fn found(&self, entry: CommittedEntry, key: StoreKey, namespace: &Namespace) -> FoundEntry {
        let etag = entry.record.etag();
        let permit = Permission::Read(ReadPermit { key, etag });
        let expires = SystemTime::now() + self.0.settings.link_lifetime;
        FoundEntry {
            key: entry.key,
            version: entry.version,
            created: entry.record.created(),
            size: entry.record.size,
            namespace: namespace.clone(),
            ticket: self.0.keys.seal(&permit.encode(), expires),
        }
    }
}

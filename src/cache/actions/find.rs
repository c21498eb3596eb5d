//! Look-ups: the first entry in GitHub's order whose bytes can be served.

use std::time::SystemTime;

use futures_util::{StreamExt, stream};

use super::catalog::prune::has_arrived;
use super::entry::{CommittedEntry, EntryRecord, NamespaceId};
use super::index::Candidate;
use super::permit::{Permission, ReadPermit};
use super::{Actions, CacheKey, Error, Result, Version};
use crate::auth::{Identity, Namespace, Ticket, TicketError};
use crate::store::journal::Ulid;
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

/// The entries that are looked for at once when the first one is gone.
const PARALLEL_LOOKS: usize = 16;

impl Actions {
    /// The first entry in GitHub's order: namespaces in order; in each, the primary key exactly, then as a
    /// prefix, newest first, then every restore key likewise.
    ///
    /// # Errors
    /// [`Error::ReadDenied`], [`Error::Store`].
    pub async fn find(&self, caller: &Identity, wanted: &LookupQuery) -> Result<Option<FoundEntry>> {
        let (catalog, scope) = (&self.0.catalog, &caller.scope);
        let namespaces: Vec<_> = readable(caller).collect();
        if namespaces.is_empty() {
            return Err(Error::ReadDenied);
        }
        let (mut passed, mut looked, mut wave) = (Vec::new(), 0, 1);
        while looked < MAX_GONE_ENTRIES {
            let candidates = catalog
                .find_several(&namespaces, &wanted.version, &wanted.keys, &passed, wave)
                .await;
            if candidates.is_empty() {
                break;
            }
            looked += candidates.len();
            wave = PARALLEL_LOOKS;
            if let Some((entry, key, position)) = self.first_there(caller, candidates, &mut passed).await? {
                let namespace = scope.readable().nth(position).unwrap_or(scope.writable());
                return Ok(Some(self.found(entry, key, namespace)));
            }
        }
        Ok(None)
    }

    /// The first of these entries whose bytes are there, with its position among the namespaces. Those that are gone
    /// leave the catalog; those whose bytes may still come are added to `passed`. Looks at all of them at once.
    async fn first_there(
        &self,
        caller: &Identity,
        candidates: Vec<Candidate>,
        passed: &mut Vec<Ulid>,
    ) -> Result<Option<(CommittedEntry, StoreKey, usize)>> {
        let asker = caller.tenancy.tenant.asker();
        let looks = candidates.into_iter().map(|candidate| async move {
            let Candidate { entry, position, .. } = candidate;
            let key = entry
                .namespace
                .store_key(&entry.version, &entry.key)
                .asked_by(asker);
            let current = self.current(&entry, &key).await;
            (current, entry, key, position)
        });
        let mut looks = stream::iter(looks).buffered(PARALLEL_LOOKS);
        let (mut gone, mut found) = (Vec::new(), None);
        while let Some((current, mut entry, key, position)) = looks.next().await {
            match current? {
                Some(record) => {
                    entry.record = record;
                    found = Some((entry, key, position));
                    break;
                }
                None if self.may_come(&entry.record) => passed.push(entry.record.id),
                None => gone.push(entry),
            }
        }
        drop(looks);
        self.0.catalog.forget_all(gone).await;
        Ok(found)
    }

    /// The entries that `caller` may read whose keys begin with `prefix`, newest first, at most `limit`.
    pub async fn list(
        &self,
        caller: &Identity,
        prefix: &str,
        limit: usize,
    ) -> Vec<(CacheKey, Version, SystemTime)> {
        let namespaces: Vec<_> = readable(caller).collect();
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
        let rules = self.0.loads.rules();
        let counts = |entry: &Entry| entry.meta.etag == permit.etag && !rules.is_too_old(&entry.meta.origin);
        Ok(entry.filter(counts))
    }

    /// The record of the entry that is stored now under the key of an entry that the catalog knows; `None` if it
    /// is gone. An entry that was stored anew after an eviction has another tag.
    async fn current(&self, entry: &CommittedEntry, key: &StoreKey) -> Result<Option<EntryRecord>> {
        let rules = self.0.loads.rules();
        let found = self.0.store.head(key).await?;
        let Some(meta) = found.filter(|meta| !rules.is_too_old(&meta.origin)) else {
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
        self.0.store.is_remote() && !has_arrived(record)
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

/// The namespaces that a caller may read. The one that it writes is its tenant's.
fn readable(caller: &Identity) -> impl Iterator<Item = NamespaceId> {
    let owner = *caller.tenancy.tenant.digest();
    caller.scope.readable().map(move |namespace| {
        let id = NamespaceId::of(namespace);
        match namespace == caller.scope.writable() {
            true => id.owned_by(Some(owner)),
            false => id,
        }
    })
}

//! The operations of front-ends on entries. They take a caller and a name, and never give a store key.
//!
//! Invariants: only the writable namespace of a scope is written or deleted; the readable ones are read in
//! order, and without any every read is a miss. A front-end holds a [`Cache`], never a store.

pub mod actions;
mod agreed_key;
pub mod bucket_rules;
mod key_ring;
pub mod load;
pub mod notes;
pub mod peers;
pub mod revocations;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::join_all;
use url::Url;

pub use agreed_key::AgreedKeyFile;
pub use key_ring::KeyRing;
use load::{TenantLoads, WriteCharge, Writer};

use crate::auth::{Identity, Namespace};
use crate::store::memory::MemoryAccount;
use crate::store::spool::{SpoolDir, SpoolWriter};
use crate::store::{
    Draft, Entry, Error, Meta, Metadata, Origin, Precondition, Protocol, Result, Store, StoreKey, Stored,
};

/// The name that a client gives to an entry. Two protocols never share entries, even under one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryName {
    protocol: Protocol,
    key: Arc<[u8]>,
    version: Option<Arc<str>>,
}

impl EntryName {
    /// Longest key in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// `None` if `key` is empty or longer than [`EntryName::MAX_BYTES`].
    pub fn new(protocol: Protocol, key: impl Into<Arc<[u8]>>) -> Option<Self> {
        let key = key.into();
        (1..=Self::MAX_BYTES).contains(&key.len()).then_some(Self {
            protocol,
            key,
            version: None,
        })
    }

    /// The same key under a version of its own: (`a`, `b-c`) and (`a-b`, `c`) are two entries.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<Arc<str>>) -> Self {
        self.version = Some(version.into());
        self
    }
}

/// An entry, and where it was found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The entry.
    pub entry: Entry,
    /// The namespace that holds it.
    pub namespace: Namespace,
}

/// The entries of all tiers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    store: Arc<dyn Store>,
    spools: SpoolDir,
    loads: TenantLoads,
}

impl Cache {
    /// A cache over `store`; bodies wait in `spools` until they are whole. `loads` holds what tenants do
    /// against the operator's rules.
    pub fn new(store: Arc<dyn Store>, spools: SpoolDir, loads: TenantLoads) -> Self {
        Self { store, spools, loads }
    }

    /// What tenants have under way.
    pub fn loads(&self) -> &TenantLoads {
        &self.loads
    }

    /// Whether an entry is no miss for its age.
    fn counts(&self, meta: &Meta) -> bool {
        !self.loads.rules().is_too_old(&meta.origin)
    }

    /// The entry in the first readable namespace of `caller` that has it.
    ///
    /// # Errors
    /// As [`Store::get`]. A front-end of a cache answers them as a miss.
    pub async fn get(&self, caller: &Identity, name: &EntryName) -> Result<Option<Hit>> {
        for (nth, namespace) in caller.scope.readable().enumerate() {
            if nth == 1 && self.store.is_remote() && caller.scope.readable().count() > 2 {
                // Boxed to keep the future of the usual read small.
                return Box::pin(self.get_from_fallbacks(caller, name)).await;
            }
            if let Some(entry) = self.store.get(&key(caller, namespace, name)).await?
                && self.counts(&entry.meta)
            {
                let namespace = namespace.clone();
                return Ok(Some(Hit { entry, namespace }));
            }
        }
        Ok(None)
    }

    /// [`Cache::get`] without the first readable namespace, for tiers where each look-up takes long: all look-ups run
    /// at once, so that a miss in many namespaces costs no more than in one.
    async fn get_from_fallbacks(&self, caller: &Identity, name: &EntryName) -> Result<Option<Hit>> {
        let fallbacks = caller.scope.readable().skip(1);
        let keys: Vec<_> = fallbacks
            .map(|namespace| (namespace, key(caller, namespace, name)))
            .collect();
        let heads = join_all(keys.iter().map(|(_, key)| self.store.head(key))).await;
        for ((namespace, key), found) in keys.iter().zip(heads) {
            if !found?.is_some_and(|meta| self.counts(&meta)) {
                continue;
            }
            if let Some(entry) = self.store.get(key).await?
                && self.counts(&entry.meta)
            {
                let namespace = (*namespace).clone();
                return Ok(Some(Hit { entry, namespace }));
            }
        }
        Ok(None)
    }

    /// The entry that [`Cache::get`] would return, without its bytes: nothing is fetched for it.
    ///
    /// # Errors
    /// As [`Store::head`].
    pub async fn head(&self, caller: &Identity, name: &EntryName) -> Result<Option<Hit>> {
        for namespace in caller.scope.readable() {
            if let Some(meta) = self.store.head(&key(caller, namespace, name)).await?
                && self.counts(&meta)
            {
                let entry = Entry::described(meta);
                let namespace = namespace.clone();
                return Ok(Some(Hit { entry, namespace }));
            }
        }
        Ok(None)
    }

    /// Where a client can read the body of the entry that [`Cache::get`] would return itself; `None` if it
    /// should be read from here, or there is none.
    ///
    /// # Errors
    /// As [`Store::link`].
    pub async fn link(&self, caller: &Identity, name: &EntryName) -> Result<Option<Url>> {
        for namespace in caller.scope.readable() {
            let key = key(caller, namespace, name);
            if self.is_expired(&key).await? {
                continue;
            }
            if let Some(link) = self.store.link(&key).await? {
                return Ok(Some(link));
            }
            if self.store.head(&key).await?.is_some() {
                // The first namespace that has the entry counts.
                break;
            }
        }
        Ok(None)
    }

    /// Whether there is an entry that is a miss for its age. Asks nobody where no rule bounds it.
    async fn is_expired(&self, key: &StoreKey) -> Result<bool> {
        if !self.loads.rules().bounds_age() {
            return Ok(false);
        }
        let found = self.store.head(key).await?;
        Ok(found.is_some_and(|meta| !self.counts(&meta)))
    }

    /// Whether [`Cache::link`] may ever give a link.
    pub fn has_links(&self) -> bool {
        self.store.has_links()
    }

    /// Begins a write to the writable namespace. Room for `expected` bytes is reserved before this
    /// returns; `None` if the length is not known.
    ///
    /// A `precondition` that does not hold now is refused before the body is read; it is checked
    /// again when the entry is committed.
    ///
    /// # Errors
    /// [`Error::Precondition`], [`Error::TooLarge`], [`Error::NoSpace`], [`Error::OverBound`] and errors of the tier.
    pub async fn begin(
        &self,
        caller: &Identity,
        name: &EntryName,
        expected: Option<u64>,
        precondition: Precondition,
    ) -> Result<EntryUpload> {
        let tenancy = Some(caller.tenancy.clone());
        let limit = self.loads.largest(tenancy.as_ref(), self.store.capacity());
        if let Some(size) = expected.filter(|size| *size > limit) {
            return Err(Error::TooLarge { size, limit });
        }
        let key = key(caller, caller.scope.writable(), name);
        self.check(&key, &precondition).await?;
        let charge = self.loads.writes(tenancy.as_ref(), Writer::request(), limit);
        // What is refused is not paid for.
        charge.take(0)?;
        let spools = self.spools.of(Some(&caller.tenancy.tenant));
        let writer = spools.create(expected).await?;
        let writer = writer.charged_to(caller.tenancy.tenant.label());
        let charge = charge.take_or_keep(expected)?;
        let origin = Origin {
            issuer: Arc::clone(&caller.issuer),
            subject: Arc::clone(&caller.subject),
            stored: SystemTime::now(),
            tenancy,
        };
        let metadata = Metadata::default();
        Ok(EntryUpload {
            store: Arc::clone(&self.store),
            key,
            writer,
            draft: Draft { origin, metadata },
            precondition,
            limit,
            charge,
        })
    }

    /// Refuses a write whose precondition does not hold now. What is a miss for its age goes first: it must not stand in
    /// the way of what takes its place.
    async fn check(&self, key: &StoreKey, precondition: &Precondition) -> Result<()> {
        if *precondition == Precondition::None {
            return Ok(());
        }
        let current = match self.store.head(key).await {
            Ok(current) => current,
            // The commit decides, perhaps without a tier that cannot be asked.
            Err(Error::Remote { .. }) if *precondition == Precondition::Absent => return Ok(()),
            Err(error) => return Err(error),
        };
        let (kept, expired) = match current {
            Some(meta) if !self.counts(&meta) => (None, Some(meta)),
            current => (current, None),
        };
        if !precondition.holds(kept.as_deref().map(|meta| &meta.etag)) {
            return Err(Error::Precondition);
        }
        if let Some(meta) = expired {
            let same = Precondition::Matches(vec![meta.etag.clone()]);
            self.store.delete(key, same).await?;
        }
        Ok(())
    }

    /// Removes the entry from the writable namespace; `false` if it is not there, even if a fallback has it.
    ///
    /// # Errors
    /// [`Error::Precondition`] and errors of the tier.
    pub async fn delete(
        &self,
        caller: &Identity,
        name: &EntryName,
        precondition: Precondition,
    ) -> Result<bool> {
        self.store
            .delete(&key(caller, caller.scope.writable(), name), precondition)
            .await
    }

    /// The account of what requests hold in memory.
    pub fn memory(&self) -> &MemoryAccount {
        self.spools.memory()
    }

    /// The largest body that can be stored, in bytes.
    pub fn capacity(&self) -> u64 {
        self.store.capacity()
    }
}

/// The only place where a namespace and a name become a store key. Whoever waits with it waits in the turn of `caller`.
fn key(caller: &Identity, namespace: &Namespace, name: &EntryName) -> StoreKey {
    let key = StoreKey::new(
        Arc::clone(namespace.issuer()),
        Arc::clone(namespace.path()),
        name.protocol,
        Arc::clone(&name.key),
    )
    .asked_by(caller.tenancy.tenant.asker());
    match &name.version {
        Some(version) => key.with_version(Arc::clone(version)),
        None => key,
    }
}

/// A body on its way into an entry. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct EntryUpload {
    store: Arc<dyn Store>,
    key: StoreKey,
    writer: SpoolWriter,
    draft: Draft,
    precondition: Precondition,
    /// The largest body of this tenant.
    limit: u64,
    /// Where the bytes are taken from as they come, if the length was not known.
    charge: Option<WriteCharge>,
}

impl EntryUpload {
    /// Small strings that are given back with the entry.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.draft.metadata
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NoSpace`], [`Error::OverBound`] and errors of the tier. The upload cannot go on then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let size = self.writer.written().saturating_add(chunk.len() as u64);
        let limit = self.limit;
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        if let Some(charge) = &self.charge {
            charge.take(chunk.len() as u64)?;
        }
        self.writer.write(chunk).await
    }

    /// Resolves when others need the room of what came so far: its tenant is above its share.
    pub async fn revoked(&self) -> Error {
        self.writer.revoked().await
    }

    /// Makes the entry visible, whole. The caller has checked that the body is complete.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn commit(mut self) -> Result<Stored> {
        let body = self.writer.finish().await?;
        self.draft.origin.stored = SystemTime::now();
        self.store
            .put(&self.key, self.draft, body, self.precondition)
            .await
    }
}

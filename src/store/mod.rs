//! The storage interface: what a tier is, and the values that pass between tiers and the cache.
//!
//! A miss is a value, an error is an error. A write is all or nothing. A tier knows neither HTTP
//! nor callers.

mod batch;
pub mod blocks;
pub(crate) mod budget;
mod content;
mod crc;
mod description;
pub mod disk;
pub(crate) mod early;
mod entry;
mod error;
pub(crate) mod follow;
pub mod journal;
pub mod key;
mod little_endian;
mod lock;
pub(crate) mod locks;
pub mod memory;
mod meta;
pub mod remote;
pub mod s3;
pub mod shared;
pub(crate) mod shares;
pub mod source;
pub mod spool;
pub(crate) mod tagged;
mod tenant;
pub(crate) mod tenant_fields;
pub mod tenant_rules;
pub mod tiered;
pub(crate) mod trailer;
pub(crate) mod turns;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

pub use content::{
    Content, EntryFile, FileHolder, FileRange, MIN_READ_BYTES, MIN_READ_TIME_SECONDS, Pieces, RemoteRange,
    RemoteSource, Residency, SlowReader,
};
pub use early::EarlyUpload;
pub use entry::{Draft, Entry, Stored, TierName};
pub use error::{Error, RemoteErrorKind, Result, Shortage};
pub use key::{Digest, Protocol, StoreKey};
pub use meta::{ETag, Meta, Metadata, MetadataError, Origin};
pub use remote::{RemoteHealth, UploadedParts};
pub use shares::{EvictionCause, HeldFigures, LargeTenant, TenantFigures};
pub use spool::Spool;
pub use tenant::{Rank, Tenancy, Tenant};
pub use turns::Asker;

/// What must hold for a write or a delete to happen, checked in the same step as the change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Always.
    #[default]
    None,
    /// There is no entry under the key (`If-None-Match: *`).
    Absent,
    /// There is an entry under the key, whatever it holds (`If-Match: *`).
    Present,
    /// The entry under the key has one of these tags (`If-Match`).
    Matches(Vec<ETag>),
    /// The entry under the key, if any, has none of these tags (`If-None-Match` with tags).
    MatchesNone(Vec<ETag>),
}

impl Precondition {
    /// Whether an entry with `current` as its tag (`None`: no entry) fulfils the condition.
    pub fn holds(&self, current: Option<&ETag>) -> bool {
        match (self, current) {
            (Self::None, _) | (Self::Absent | Self::MatchesNone(_), None) => true,
            (Self::Present, current) => current.is_some(),
            (Self::Matches(_), None) | (Self::Absent, Some(_)) => false,
            (Self::Matches(tags), Some(current)) => tags.contains(current),
            (Self::MatchesNone(tags), Some(current)) => !tags.contains(current),
        }
    }
}

/// One tier, or a composition of tiers.
///
/// Every implementation passes the conformance suite in `tests/it/store/suite.rs`.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// The entry under `key`; `None` is a miss. A damaged entry is a miss, too, and is removed.
    async fn get(&self, key: &StoreKey) -> Result<Option<Entry>>;

    /// Only the description of the entry under `key`.
    async fn head(&self, key: &StoreKey) -> Result<Option<Arc<Meta>>>;

    /// Stores a whole body. Readers see either the former entry or the new one, each whole.
    /// Dropping the future leaves the former entry in place or finishes the change, never half.
    ///
    /// # Errors
    /// [`Error::Precondition`] if `precondition` does not hold, [`Error::TooLarge`],
    /// [`Error::NoSpace`] and [`Error::Io`]; the former entry is still there after each of them.
    async fn put(
        &self,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        precondition: Precondition,
    ) -> Result<Stored>;

    /// Removes the entry; `true` if there was one.
    ///
    /// # Errors
    /// [`Error::Precondition`] if `precondition` does not hold.
    async fn delete(&self, key: &StoreKey, precondition: Precondition) -> Result<bool>;

    /// The largest body that this store can hold, in bytes.
    fn capacity(&self) -> u64;

    /// Whether a look-up that finds nothing here asks a remote tier.
    fn is_remote(&self) -> bool {
        false
    }

    /// How parts of the entry that `key` will be are sent before its body is whole; `None` if a body goes
    /// nowhere before it is.
    fn early_upload(&self, _key: &StoreKey) -> Option<EarlyUpload> {
        None
    }

    /// Whether [`Store::link`] may ever give one.
    fn has_links(&self) -> bool {
        false
    }

    /// Where a client can read the body of the entry itself; `None` if it should be read from here.
    ///
    /// # Errors
    /// As [`Store::head`].
    async fn link(&self, _key: &StoreKey) -> Result<Option<Url>> {
        Ok(None)
    }
}

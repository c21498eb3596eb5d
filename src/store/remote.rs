//! A remote tier: it is behind the network, shared by several servers, slower than a disk, and sometimes
//! not there.
//!
//! It differs from [`super::Store`] in what its callers need to hide its distance: an entry can be read in
//! ranges of one version at once, and a write is sent first and made visible in a second, short step.
//! [`crate::store`]'s composition of tiers is built from it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;
use url::Url;

use super::shared::SharedObjects;
use super::source::EntrySource;
use super::spool::Checksums;
use super::{Content, Draft, Meta, Precondition, RemoteErrorKind, Result, StoreKey, TierName};
use crate::tasks::Tasks;
use crate::telemetry::metrics::Metric;

/// One version of an entry in a remote tier.
#[derive(Debug, Clone)]
pub struct RemoteEntry {
    /// The description.
    pub meta: Arc<Meta>,
    /// The tier's own name of this version (the ETag of S3), for reading more of the same.
    pub version: Arc<str>,
    /// When the tier got it, by the tier's clock and told by the one of this server, to a second or two. `None` if the
    /// tier does not say.
    pub modified: Option<SystemTime>,
}

/// Whether a remote tier can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteHealth {
    /// The last requests were answered, or none was made yet.
    Up,
    /// Requests are refused for the time being: reads are misses and writes fail.
    Down {
        /// Why.
        kind: RemoteErrorKind,
        /// Since when.
        since: SystemTime,
    },
}

/// A remote tier, whole: its entries, the small objects that its servers share, and what an operator wants to
/// know of it. Nothing above [`crate::store`] knows another type of one.
#[async_trait]
pub trait RemoteTier: SharedObjects {
    /// What logs, health and messages call this tier.
    fn name(&self) -> TierName;

    /// The key of the configuration that says where this tier is, for messages.
    fn location_key(&self) -> &'static str;

    /// Figures of this moment. Sends no request.
    fn metrics(&self) -> Vec<Metric>;

    /// Whether the tier can be used now. Sends no request.
    fn health(&self) -> RemoteHealth;

    /// One small request that shows whether the tier can be used, for the start.
    ///
    /// # Errors
    /// [`super::Error::Remote`] with the kind of error, whose text names the remedy, and the answer of the tier.
    async fn probe(&self) -> Result<()>;

    /// The entry under `key`; `None` is a miss.
    ///
    /// # Errors
    /// [`super::Error::Remote`], also when the object is not the entry that its name says.
    async fn head(&self, key: &StoreKey) -> Result<Option<RemoteEntry>>;

    /// Where the entry under `key` is read from. Sends no request.
    fn source(&self, key: &StoreKey) -> Arc<dyn EntrySource>;

    /// Sends a whole body. Nothing is visible before [`RemoteUpload::commit`]; dropped before, nothing
    /// stays. `body` can be read as often as it must be.
    ///
    /// # Errors
    /// [`super::Error::Remote`], [`super::Error::TooLarge`], [`super::Error::Io`].
    async fn upload(
        &self,
        key: &StoreKey,
        draft: Draft,
        sums: &Checksums,
        body: Content,
    ) -> Result<Box<dyn RemoteUpload>>;

    /// Begins to send a body of which only the bytes are known, and not all of them yet.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn begin(&self, key: &StoreKey) -> Result<Box<dyn RemoteParts>>;

    /// Length of every part for [`RemoteParts::part`] in bytes; a multiple of [`Checksums::BLOCK_BYTES`].
    fn part_size(&self) -> u64;

    /// Where work belongs that must not outlive the tier.
    fn tasks(&self) -> &Tasks;

    /// Removes the entry; `true` if there was one.
    ///
    /// # Errors
    /// [`super::Error::Precondition`], [`super::Error::Remote`].
    async fn delete(&self, key: &StoreKey, precondition: &Precondition) -> Result<bool>;

    /// Removes this version of an entry, unless another one has taken its place. Where a tier can, it makes sure of that
    /// itself, without another look.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn delete_version(&self, key: &StoreKey, entry: &RemoteEntry) -> Result<()>;

    /// A URL with which anybody can read the body of this entry for some minutes; `None` if there is none
    /// that gives the body and nothing else. Sends no request.
    ///
    /// # Errors
    /// [`super::Error::Remote`] without credentials.
    async fn link(&self, key: &StoreKey, entry: &RemoteEntry) -> Result<Option<Url>>;

    /// The largest body in bytes.
    fn capacity(&self) -> u64;
}

/// A body that is being sent while it arrives. Dropped before [`RemoteParts::finish`], nothing stays.
#[async_trait]
pub trait RemoteParts: Debug + Send + Sync {
    /// Sends the part with this number, counted from 1: as many bytes as [`RemoteTier::part_size`], from the offset
    /// of the body that the number says. Several may be on their way at once, in any order, each number once.
    /// Dropped, the part was not sent.
    ///
    /// # Errors
    /// [`super::Error::Remote`]; [`super::Error::TooLarge`] beyond the last possible part;
    /// [`super::Error::Io`], also for content of another length.
    async fn part(&self, number: u32, content: Content) -> Result<()>;

    /// Sends everything else of the whole body. Afterwards as [`RemoteTier::upload`].
    ///
    /// # Errors
    /// As [`RemoteTier::upload`]; [`super::Error::TooLarge`] also if parts of this length would be too many.
    async fn finish(
        self: Box<Self>,
        draft: Draft,
        sums: &Checksums,
        body: Content,
    ) -> Result<Box<dyn RemoteUpload>>;
}

/// Ends with the parts that the remote tier has, or with nothing after a failure.
pub(crate) type EarlyUploadTask = JoinHandle<Option<Box<dyn RemoteParts>>>;

/// Parts of a body that the remote tier has, or is about to get. Dropped, nothing of them stays.
#[derive(Debug)]
pub struct UploadedParts {
    task: EarlyUploadTask,
    /// Ends the task, which drops the parts.
    _stop: DropGuard,
}

impl UploadedParts {
    /// `task` begins no further part, and ends at once when `stop` is dropped.
    pub(crate) fn new(task: EarlyUploadTask, stop: DropGuard) -> Self {
        Self { task, _stop: stop }
    }

    /// Waits for the parts that are under way.
    pub(crate) async fn arrived(mut self) -> Option<Box<dyn RemoteParts>> {
        (&mut self.task).await.ok().flatten()
    }
}

/// A body that the remote tier has, or is about to get, and that is not visible yet.
#[async_trait]
pub trait RemoteUpload: Send {
    /// Makes the entry visible, whole, if `precondition` holds at that moment.
    ///
    /// # Errors
    /// [`super::Error::Precondition`]; [`super::Error::Remote`], after which the entry may be visible all the
    /// same if [`super::RemoteErrorKind::leaves_doubt`].
    async fn commit(self: Box<Self>, precondition: &Precondition) -> Result<RemoteEntry>;
}

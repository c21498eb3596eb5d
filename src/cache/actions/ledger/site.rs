//! The place of a ledger, and the account of its bytes.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;

use crate::store::Result;
use crate::store::disk::Disk;

/// The account of the volume on which a ledger is.
#[async_trait]
pub trait SpaceAccount: Debug + Send + Sync + 'static {
    /// Adds `bytes` to those in use, in whole blocks; a negative number removes some.
    fn adjust(&self, bytes: i64);

    /// Waits until there is space for `bytes`, which count as used then.
    ///
    /// # Errors
    /// [`crate::store::Error::NoSpace`], [`crate::store::Error::Stopping`].
    async fn claim(&self, bytes: u64) -> Result<()>;
}

#[async_trait]
impl SpaceAccount for Disk {
    fn adjust(&self, bytes: i64) {
        self.account(bytes);
    }

    async fn claim(&self, bytes: u64) -> Result<()> {
        Disk::claim(self, bytes).await
    }
}

/// The place of a ledger.
#[derive(Debug, Clone)]
pub struct LedgerSite {
    /// A folder for the ledger alone; made if it is not there.
    pub folder: PathBuf,
    /// Whether lines have to survive a power loss.
    pub sync: bool,
    /// Counts the bytes of the ledger.
    pub account: Arc<dyn SpaceAccount>,
}

impl LedgerSite {
    /// Beside the entries of a local tier.
    pub fn on(disk: &Arc<Disk>) -> Self {
        Self {
            folder: disk.actions_folder(),
            sync: disk.is_synced(),
            account: Arc::clone(disk) as Arc<_>,
        }
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// The ledger during a rewrite.
    pub(super) fn rewritten(&self) -> PathBuf {
        self.folder.join("ledger.new")
    }
}

/// Space that was claimed for something: it is taken from first. What is left is given back in the end.
#[derive(Debug)]
pub(super) struct ClaimedSpace {
    left: AtomicI64,
    beyond: Arc<dyn SpaceAccount>,
}

impl ClaimedSpace {
    /// `bytes` that `beyond` counts as used already.
    pub(super) fn new(bytes: u64, beyond: Arc<dyn SpaceAccount>) -> Self {
        let left = AtomicI64::new(bytes as i64);
        Self { left, beyond }
    }
}

#[async_trait]
impl SpaceAccount for ClaimedSpace {
    fn adjust(&self, bytes: i64) {
        let take = |left: i64| Some(left - bytes.min(left));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let beyond = bytes - bytes.min(left.unwrap_or(0));
        if beyond != 0 {
            self.beyond.adjust(beyond);
        }
    }

    async fn claim(&self, bytes: u64) -> Result<()> {
        self.beyond.claim(bytes).await
    }
}

impl Drop for ClaimedSpace {
    fn drop(&mut self) {
        self.beyond.adjust(-self.left.load(Ordering::Relaxed));
    }
}

//! For whom room is taken, and what counts in a share at once: bytes that are held, and bytes that are waited for.

use std::sync::Arc;

use crate::store::Asker;
use crate::store::shares::{TenantHandle, TenantNumber};

/// A tenant; nobody if it is none: folders, the snapshot, records. Cheap to clone: no lock is taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owner(Option<Arc<TenantHandle>>);

impl Owner {
    /// Room for this tenant.
    pub(crate) fn tenant(handle: TenantHandle) -> Self {
        Self(Some(Arc::new(handle)))
    }

    /// The number of the tenant.
    pub(crate) fn number(&self) -> Option<TenantNumber> {
        self.0.as_ref().map(|tenant| tenant.number())
    }

    /// Whose turn it is when something is done for it.
    pub(crate) fn asker(&self) -> Asker {
        self.0.as_ref().map_or(Asker::SERVER, |tenant| tenant.asker())
    }

    /// Bytes count in its share.
    pub(super) fn count(&self, bytes: u64) {
        if let Some(tenant) = &self.0
            && bytes > 0
        {
            tenant.reserve(bytes);
        }
    }

    /// They do not count any more.
    pub(super) fn uncount(&self, bytes: u64) {
        if let Some(tenant) = &self.0
            && bytes > 0
        {
            tenant.release(bytes);
        }
    }
}

/// Bytes that count in the share of their owner until this is dropped.
#[derive(Debug)]
pub(super) struct CountedBytes {
    owner: Owner,
    bytes: u64,
}

impl CountedBytes {
    pub(super) fn new(owner: &Owner, bytes: u64) -> Self {
        owner.count(bytes);
        Self {
            owner: owner.clone(),
            bytes,
        }
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes go on counting; whoever takes them sees to their end.
    pub(super) fn take(&mut self) -> (Owner, u64) {
        (std::mem::take(&mut self.owner), std::mem::take(&mut self.bytes))
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.owner.uncount(self.bytes);
    }
}

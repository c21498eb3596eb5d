//! Who hears of reads and writes, to know what was used.

use std::fmt::Debug;
use std::sync::Arc;

use super::{Tiered, TieredCore};
use crate::store::{Meta, StoreKey};

/// Hears of what is used in both tiers together. Called in the way of requests, so it must not wait.
pub trait UseObserver: Debug + Send + Sync + 'static {
    /// The entry was read, or somebody learned that it is there.
    fn used(&self, key: &StoreKey, meta: &Meta);

    /// The entry was stored.
    fn stored(&self, key: &StoreKey, meta: &Meta);
}

impl Tiered {
    /// `observer` hears of uses from now on; a second one is not taken.
    pub fn observe_uses(&self, observer: Arc<dyn UseObserver>) {
        let _second = self.0.uses.set(observer);
    }
}

impl TieredCore {
    /// An entry is read, or found.
    pub(super) fn used(&self, key: &StoreKey, meta: Option<&Meta>) {
        if let (Some(uses), Some(meta)) = (self.uses.get(), meta) {
            uses.used(key, meta);
        }
    }

    /// An entry was stored.
    pub(super) fn stored(&self, key: &StoreKey, meta: &Meta) {
        if let Some(uses) = self.uses.get() {
            uses.stored(key, meta);
        }
    }
}

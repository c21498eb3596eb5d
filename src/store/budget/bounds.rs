//! Bounds that an operator's rules set for single tenants (`max_bytes`): a tenant makes room for itself.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Budget, Owner};
use crate::store::tenant_rules::HeldBound;
use crate::store::{Error, Result, Shortage};

/// A tenant that has to evict some of its own entries.
#[derive(Debug)]
pub(crate) struct OwnDemand {
    pub(crate) owner: Owner,
    pub(crate) bytes: u64,
    /// Takes how many bytes were evicted.
    pub(crate) answer: oneshot::Sender<u64>,
}

impl Budget {
    /// Waits until what a tenant holds, and what it asks for and is counted already, is within its bound. Its own entries
    /// go for that.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if none of them can, [`Error::Stopping`].
    pub(super) async fn keep_bound(self: &Arc<Self>, owner: &Owner, needed: u64) -> Result<()> {
        while let Some((excess, limit)) = self.excess(owner) {
            let (answer, freed) = oneshot::channel();
            {
                let mut state = self.lock();
                if state.closed {
                    return Err(Error::Stopping);
                }
                state.own_demands.push(OwnDemand {
                    owner: owner.clone(),
                    bytes: excess,
                    answer,
                });
            }
            self.work.notify_one();
            if freed.await.map_err(|_| Error::Stopping)? == 0 {
                return Err(at_bound(needed, limit));
            }
        }
        Ok(())
    }

    /// By how many bytes a tenant is above its bound, and that bound.
    pub(crate) fn excess(&self, owner: &Owner) -> Option<(u64, u64)> {
        let number = owner.number()?;
        let mut shares = self.shares.table();
        let limit = shares.limits(number).max_bytes?;
        let excess = shares.holdings(number).bytes().saturating_sub(limit);
        (excess > 0).then_some((excess, limit))
    }

    /// # Errors
    /// [`Error::NoSpace`] if an entry that takes `needed` bytes can never be within its tenant's bound.
    pub(super) fn check_bound(&self, owner: &Owner, needed: u64) -> Result<()> {
        let limit = owner
            .number()
            .and_then(|number| self.shares.table().limits(number).max_bytes);
        match limit.filter(|limit| needed > *limit) {
            Some(limit) => Err(at_bound(needed, limit)),
            None => Ok(()),
        }
    }

    /// Takes what tenants asked for.
    pub(crate) fn own_demands(&self) -> Vec<OwnDemand> {
        std::mem::take(&mut self.lock().own_demands)
    }
}

fn at_bound(needed: u64, limit: u64) -> Error {
    let rule = HeldBound::MaxBytes;
    Error::NoSpace {
        needed,
        reason: Shortage::Rule { rule, limit },
    }
}

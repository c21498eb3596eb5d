//! The key that tickets are sealed with: one for all servers of a bucket.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::auth::{Sealer, SigningKey, Ticket, TicketError};
use crate::error::chain;
use crate::store::Result;
use crate::store::shared::Shared;
use crate::tasks::{Tasks, pause};

/// The name of the shared key.
const NAME: &str = "signing-key";
/// It is written again so often, because a lifecycle rule may remove what is old.
const REFRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two attempts to learn it.
const RETRY: Duration = Duration::from_secs(5);

/// Seals with one key and opens with all that were in use since the start. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sealers(Arc<ArcSwap<Vec<Sealer>>>);

impl Sealers {
    pub(super) fn new(key: &SigningKey) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(vec![Sealer::new(key)])))
    }

    pub(super) fn seal(&self, payload: &[u8], expires: SystemTime) -> Ticket {
        // Never empty.
        self.0.load()[0].seal(payload, expires)
    }

    pub(super) fn open(&self, ticket: &Ticket, now: SystemTime) -> Result<Vec<u8>, TicketError> {
        let mut outcome = Err(TicketError::Forged);
        for sealer in self.0.load().iter() {
            outcome = sealer.open(ticket, now);
            if !matches!(outcome, Err(TicketError::Forged)) {
                break;
            }
        }
        outcome
    }

    /// Agrees with the other servers of the bucket in the background: whoever was there first has made the key.
    /// Until then URLs are good on this server. Whoever wants to wait for the first attempt, and for
    /// [`RETRY`] at most, awaits the answer.
    pub(super) fn share(
        &self,
        shared: Arc<dyn Shared>,
        own: SigningKey,
        tasks: &Tasks,
    ) -> impl Future<Output = ()> + use<> {
        let (tried, first) = tokio::sync::oneshot::channel::<()>();
        let (this, stopping) = (self.clone(), tasks.stopping());
        drop(tasks.spawn(async move {
            let keep = this.keep_shared(&*shared, own, tried);
            tokio::select! {
                () = stopping.cancelled() => {}
                () = keep => {}
            }
        }));
        async move {
            let _tried = tokio::time::timeout(RETRY, first).await;
        }
    }

    async fn keep_shared(
        &self,
        shared: &dyn Shared,
        mut key: SigningKey,
        tried: tokio::sync::oneshot::Sender<()>,
    ) {
        let mut tried = Some(tried);
        loop {
            let outcome = agree(shared, &key).await;
            let pausing = match outcome {
                Ok(common) => {
                    if common.as_bytes() != key.as_bytes() {
                        self.put_first(&common);
                        key = common;
                    }
                    REFRESH
                }
                Err(error) => {
                    tracing::debug!("the key for URLs is not agreed on yet: {}", chain(&error));
                    RETRY
                }
            };
            // Dropped, it wakes whoever waits.
            tried.take();
            pause(pausing).await;
        }
    }

    fn put_first(&self, key: &SigningKey) {
        self.0.rcu(|sealers| {
            let mut all = vec![Sealer::new(key)];
            all.extend(sealers.iter().cloned());
            all
        });
    }
}

/// The key that is in the bucket, or becomes it now.
async fn agree(shared: &dyn Shared, own: &SigningKey) -> Result<SigningKey> {
    let mine = Bytes::copy_from_slice(own.as_bytes());
    if shared.create(NAME, mine).await? {
        return Ok(own.clone());
    }
    let found = shared
        .read(NAME)
        .await?
        .as_deref()
        .and_then(SigningKey::from_bytes);
    let Some(common) = found else {
        tracing::warn!(
            "the object signing-key in the bucket is no key; remove it, so that servers can agree on one"
        );
        return Ok(own.clone());
    };
    shared
        .write(NAME, Bytes::copy_from_slice(common.as_bytes()))
        .await?;
    Ok(common)
}

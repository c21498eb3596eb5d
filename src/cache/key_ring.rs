//! The keys of tickets and of messages between servers. All servers of a bucket seal with the same one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::auth::{MessageSealer, Sealer, SigningKey, Ticket, TicketError};
use crate::error::chain;
use crate::store::Result;
use crate::store::shared::SharedObjects;
use crate::tasks::{Tasks, pause};

/// The object in the bucket that holds the shared key.
const SHARED_KEY_NAME: &str = "signing-key";
/// The shared key is written again after this time, because a lifecycle rule may remove old objects.
const REWRITE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Time between two attempts to agree on the shared key.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Seals with the newest key, and opens with all keys that were in use since the start. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeyRing(Arc<ArcSwap<Vec<RingKey>>>);

/// One key for each purpose, all from one secret.
#[derive(Debug, Clone)]
struct RingKey {
    tickets: Sealer,
    messages: MessageSealer,
}

impl RingKey {
    fn new(key: &SigningKey) -> Self {
        Self {
            tickets: Sealer::new(key),
            messages: MessageSealer::new(key),
        }
    }
}

impl KeyRing {
    /// A ring with this key.
    pub fn new(key: &SigningKey) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(vec![RingKey::new(key)])))
    }

    /// How often the key has changed.
    pub(super) fn changes(&self) -> usize {
        self.0.load().len() - 1
    }

    /// See [`MessageSealer::seal`].
    pub(super) fn seal_message(&self, context: &[u8], payload: &[u8]) -> Vec<u8> {
        // Never empty.
        self.0.load()[0].messages.seal(context, payload)
    }

    /// See [`MessageSealer::open`].
    pub(super) fn open_message(&self, context: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let keys = self.0.load();
        keys.iter().find_map(|key| key.messages.open(context, message))
    }

    /// See [`Sealer::seal`].
    pub(super) fn seal(&self, payload: &[u8], expires: SystemTime) -> Ticket {
        // Never empty.
        self.0.load()[0].tickets.seal(payload, expires)
    }

    /// See [`Sealer::open`].
    ///
    /// # Errors
    /// No key of the ring opens it.
    pub(super) fn open(&self, ticket: &Ticket, now: SystemTime) -> Result<Vec<u8>, TicketError> {
        let mut outcome = Err(TicketError::Forged);
        for key in self.0.load().iter() {
            outcome = key.tickets.open(ticket, now);
            if !matches!(outcome, Err(TicketError::Forged)) {
                break;
            }
        }
        outcome
    }

    /// Agrees on a key with the other servers of the bucket, in the background: the first server's key counts.
    /// Until then URLs are good on this server only. The returned future resolves after the first attempt, and
    /// after [`RETRY_INTERVAL`] at the latest.
    pub fn share(
        &self,
        shared: Arc<dyn SharedObjects>,
        own: SigningKey,
        tasks: &Tasks,
    ) -> impl Future<Output = ()> + use<> {
        let (tried, first) = tokio::sync::oneshot::channel::<()>();
        let (this, stopping) = (self.clone(), tasks.stopping());
        drop(tasks.spawn(async move {
            let keeping = this.keep_shared(&*shared, own, tried);
            stopping.run_until_cancelled(keeping).await;
        }));
        async move {
            let _tried = tokio::time::timeout(RETRY_INTERVAL, first).await;
        }
    }

    async fn keep_shared(
        &self,
        shared: &dyn SharedObjects,
        mut key: SigningKey,
        tried: tokio::sync::oneshot::Sender<()>,
    ) {
        let mut tried = Some(tried);
        loop {
            let pausing = match agree(shared, &key).await {
                Ok(common) => {
                    if common.as_bytes() != key.as_bytes() {
                        self.put_first(&common);
                        key = common;
                    }
                    REWRITE_INTERVAL
                }
                Err(error) => {
                    tracing::debug!("the key for URLs is not agreed on yet: {}", chain(&error));
                    RETRY_INTERVAL
                }
            };
            // Dropping the sender resolves the future of `share`.
            tried.take();
            pause(pausing).await;
        }
    }

    fn put_first(&self, key: &SigningKey) {
        self.0.rcu(|keys| {
            let mut all = vec![RingKey::new(key)];
            all.extend(keys.iter().cloned());
            all
        });
    }
}

/// The key in the bucket; `own` is written there if there is none.
async fn agree(shared: &dyn SharedObjects, own: &SigningKey) -> Result<SigningKey> {
    let mine = Bytes::copy_from_slice(own.as_bytes());
    if shared.create(SHARED_KEY_NAME, mine).await? {
        return Ok(own.clone());
    }
    let found = shared.get(SHARED_KEY_NAME).await?;
    let Some(common) = found.as_deref().and_then(SigningKey::from_bytes) else {
        tracing::warn!(
            "the object signing-key in the bucket is no key; remove it, so that servers can agree on one"
        );
        return Ok(own.clone());
    };
    let bytes = Bytes::copy_from_slice(common.as_bytes());
    shared.put(SHARED_KEY_NAME, bytes).await?;
    Ok(common)
}

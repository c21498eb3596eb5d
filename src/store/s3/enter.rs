//! How a request gets its permit. Nobody waits for one while the server is known to be down.

use std::time::Duration;

use super::core::Core;
use super::error::S3Error;
use super::permits::{ALL_TAKEN, Permit};
use crate::store::RemoteErrorKind;
use crate::store::turns::Asker;

impl Core {
    /// Waits for a permit to read, in the turn of `asker`, unless the server is given a rest.
    ///
    /// # Errors
    /// [`RemoteErrorKind::Resting`] at once; [`RemoteErrorKind::Timeout`] if all permits stay taken for
    /// `s3.idle_timeout`.
    pub(super) async fn enter(&self, asker: Asker) -> Result<Permit, S3Error> {
        self.wait(self.permits.one(asker), self.config.idle_timeout).await
    }

    /// The same for a short request of a write, which must not be lost for others that are slow: waits for
    /// `s3.write_timeout`.
    pub(super) async fn enter_to_write(&self, asker: Asker) -> Result<Permit, S3Error> {
        self.wait(self.permits.one(asker), self.config.write_timeout)
            .await
    }

    /// The same for a body on its way out.
    pub(super) async fn enter_to_send(&self, asker: Asker) -> Result<Permit, S3Error> {
        self.wait(self.permits.one_to_send(asker), self.config.write_timeout)
            .await
    }

    async fn wait(
        &self,
        permit: impl Future<Output = Permit>,
        patience: Duration,
    ) -> Result<Permit, S3Error> {
        if self.health.is_resting() {
            return Err(self.resting());
        }
        let _waiting = self.permits.waiting();
        let permit = async {
            tokio::select! {
                biased;
                permit = permit => Ok(permit),
                () = self.health.found_down() => Err(self.resting()),
            }
        };
        let late = |_| {
            // The server is not to blame.
            self.counters.failure(RemoteErrorKind::Timeout);
            Err(S3Error::new(RemoteErrorKind::Timeout, ALL_TAKEN))
        };
        tokio::time::timeout(patience, permit).await.unwrap_or_else(late)
    }
}

//! What became of every attempt of a request: the SDK tells of the last one only.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aws_sdk_s3::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use super::clock::StoreClock;
use super::error;
use super::health::Health;

tokio::task_local! {
    /// Of the request that this task makes.
    static ATTEMPTS: Arc<Attempts>;
}

/// Headers that only S3, and what speaks its protocol, gives to every answer.
const OWN_HEADERS: [&str; 2] = ["x-amz-request-id", "x-amz-id-2"];

/// The attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Attempts that were begun.
    begun: AtomicU32,
    /// Those that were answered, or had no connection.
    settled: AtomicU32,
    /// Whether the last answer had headers of S3's own.
    has_ids: AtomicBool,
}

impl Attempts {
    /// Runs a request whose attempts are to be counted here.
    pub(super) async fn count<F: Future>(self: &Arc<Self>, request: F) -> F::Output {
        ATTEMPTS.scope(Arc::clone(self), request).await
    }

    /// Whether the store may have got the request without having answered it.
    pub(super) fn leave_doubt(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > self.settled.load(Ordering::Relaxed)
    }

    /// Whether the last answer was from what speaks the protocol of S3, by its headers.
    pub(super) fn has_ids(&self) -> bool {
        self.has_ids.load(Ordering::Relaxed)
    }
}

/// Sees every attempt.
#[derive(Debug)]
pub(super) struct AttemptWatch {
    pub(super) health: Arc<Health>,
    pub(super) clock: Arc<StoreClock>,
}

impl Intercept for AttemptWatch {
    fn name(&self) -> &'static str {
        "AttemptWatch"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let begin = |attempts: &Arc<Attempts>| attempts.begun.fetch_add(1, Ordering::Relaxed);
        // Links are signed outside of any request.
        let _counted = ATTEMPTS.try_with(begin);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let connection = match context.output_or_error() {
            Some(Err(failure)) => failure.as_connector_error(),
            _ => None,
        };
        if let Some(response) = response {
            self.health.heard();
            if let Some(date) = response.headers().get("date") {
                self.clock.told(date);
            }
        }
        if response.is_none() && !connection.is_some_and(|failure| error::is_unconnected(failure)) {
            return Ok(());
        }
        let _counted = ATTEMPTS.try_with(|attempts| {
            attempts.settled.fetch_add(1, Ordering::Relaxed);
            let has = |name: &&str| response.is_some_and(|response| response.headers().get(*name).is_some());
            let has_ids = OWN_HEADERS.iter().any(has);
            attempts.has_ids.store(has_ids, Ordering::Relaxed);
        });
        Ok(())
    }
}

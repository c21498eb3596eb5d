//! Tokens against an authenticator with a real issuer: every attack of the threat list has a test
//! here that names it.

mod algorithms;
mod claims;
mod explain;
mod headers;
mod issuers;
mod job_tokens;
mod keys;
mod late;
mod reach;
mod rotation;
mod scopes;
mod token_cache;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chacha::auth::{Authenticator, Credentials, Error, Identity, KeyTiming};
use chacha::config::ProviderConfig;
use chacha::error::{Class, Classify as _};
use chacha::tasks::Tasks;

use crate::support::issuer::Issuer;
use crate::support::token::Draft;
use crate::support::wait::TEST_TIMEOUT;

/// An authenticator with one issuer.
struct World {
    issuer: Issuer,
    auth: Authenticator,
    tasks: Tasks,
}

/// Intervals in which nothing happens by itself, and everything happens on demand.
fn on_demand() -> KeyTiming {
    KeyTiming {
        demand: Duration::ZERO,
        first_retry: Duration::from_secs(3600),
        longest_retry: Duration::from_secs(3600),
        ..KeyTiming::default()
    }
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With another configuration.
    async fn with(change: impl FnOnce(&mut ProviderConfig)) -> Self {
        Self::timed(Issuer::start().await, on_demand(), change)
    }

    /// With an issuer that was prepared, and other intervals.
    fn timed(issuer: Issuer, timing: KeyTiming, change: impl FnOnce(&mut ProviderConfig)) -> Self {
        let tasks = Tasks::new();
        let mut provider = issuer.provider();
        change(&mut provider);
        let auth = Authenticator::start_with(vec![provider], &tasks, timing).unwrap();
        Self { issuer, auth, tasks }
    }

    async fn authenticate(&self, token: &str) -> Result<Arc<Identity>, Error> {
        authenticate(&self.auth, token).await
    }

    /// Sends a token that was changed before it was signed.
    async fn send(&self, change: impl FnOnce(&mut Draft)) -> Result<Arc<Identity>, Error> {
        self.authenticate(&self.issuer.token_with(change)).await
    }

    /// Sends a token that must be accepted.
    async fn accepts(&self, change: impl FnOnce(&mut Draft)) -> Arc<Identity> {
        self.send(change).await.expect("the token is good")
    }

    /// Sends a token that must be refused with this text.
    async fn refuses(&self, text: &str, change: impl FnOnce(&mut Draft)) {
        refused(self.send(change).await, text);
    }
}

async fn authenticate(auth: &Authenticator, token: &str) -> Result<Arc<Identity>, Error> {
    let value = format!("Bearer {token}");
    auth.authenticate(&Credentials::from_header_values([value.as_bytes()].into_iter())?)
        .await
}

#[track_caller]
fn refused(outcome: Result<Arc<Identity>, Error>, text: &str) {
    let error = outcome.expect_err("the token is bad");
    assert_eq!(error.class(), Class::Unauthenticated, "{error}");
    assert!(error.is_invalid_token(), "{error}");
    assert!(
        error.public().contains(text),
        "{:?} should hold {text:?}",
        error.public()
    );
}

#[track_caller]
fn unavailable(outcome: Result<Arc<Identity>, Error>) {
    let error = outcome.expect_err("the keys are not known");
    assert_eq!(error.class(), Class::Unavailable, "{error}");
    assert!(error.retry_after().unwrap() >= Duration::from_secs(1));
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Waits until a condition holds that nobody announces.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let poll = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, poll)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

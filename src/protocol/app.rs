//! What every front-end may use, and the steps that all of them share.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, header};

use super::forward::Forwarder;
use super::links::Links;
use crate::auth::{Authenticator, Credentials, Error as AuthError, ExpiredIdentity, Identity};
use crate::cache::Cache;
use crate::cache::actions::Actions;
use crate::tasks::Tasks;

/// The parts of the server that front-ends work with. Cheap to clone; no globals beside it.
#[derive(Debug, Clone)]
pub struct App(Arc<AppInner>);

#[derive(Debug)]
struct AppInner {
    cache: Cache,
    actions: Actions,
    auth: ArcSwap<Authenticator>,
    limits: ArcSwap<Limits>,
    links: Links,
    forwarder: Forwarder,
    tasks: Tasks,
}

/// `limits.max_entry_size` if nobody sets it, in bytes: what GitHub gives a whole repository. Less on a small tier, so that
/// one entry cannot push out everything else.
const DEFAULT_MAX_ENTRY_SIZE: u64 = 10 << 30;

/// What one request may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest accepted body, in bytes; `None` for 10 GiB or three quarters of what the tiers can hold, whichever is less.
    pub max_entry_size: Option<u64>,
    /// Longest pause inside of a request body.
    pub body_idle_timeout: Duration,
}

impl App {
    /// Puts the parts together.
    pub fn new(
        cache: Cache,
        actions: Actions,
        auth: Authenticator,
        limits: Limits,
        links: Links,
        forwarder: Forwarder,
        tasks: Tasks,
    ) -> Self {
        Self(Arc::new(AppInner {
            cache,
            actions,
            auth: ArcSwap::from_pointee(auth),
            limits: ArcSwap::from_pointee(limits),
            links,
            forwarder,
            tasks,
        }))
    }

    /// Takes other rules for the requests that begin from now on.
    pub fn replace(&self, auth: Authenticator, limits: Limits) {
        self.0.auth.store(Arc::new(auth));
        self.0.limits.store(Arc::new(limits));
    }

    /// The verifier of tokens, as it is configured now.
    pub fn auth(&self) -> Authenticator {
        Authenticator::clone(&self.0.auth.load())
    }

    /// All tiers.
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// The cache of GitHub Actions.
    pub fn actions(&self) -> &Actions {
        &self.0.actions
    }

    /// Where clients find this server again.
    pub fn links(&self) -> &Links {
        &self.0.links
    }

    /// The way to other servers.
    pub fn forwarder(&self) -> &Forwarder {
        &self.0.forwarder
    }

    /// What one request may take.
    pub fn limits(&self) -> Limits {
        **self.0.limits.load()
    }

    /// The largest accepted body in bytes: the configured limit, at most what the tiers can hold.
    pub fn max_entry_size(&self) -> u64 {
        let capacity = self.0.cache.capacity();
        let default = || DEFAULT_MAX_ENTRY_SIZE.min(capacity / 4 * 3);
        let limit = self.limits().max_entry_size.unwrap_or_else(default);
        limit.min(capacity)
    }

    /// The caller by the credentials of its request.
    ///
    /// # Errors
    /// The credentials do not name a caller that this server admits.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Identity>, AuthError> {
        let credentials = credentials(headers)?;
        // A guard, not a copy: nothing is shared with the other threads on the way to a hit.
        let auth = self.0.auth.load();
        auth.authenticate(&credentials).await
    }

    /// The bearer of an expired token that [`App::caller`] refused with `error`, for uploads that outlive their token.
    ///
    /// # Errors
    /// `error`, unless it says that the token has expired: then why it is not good for that, either.
    pub async fn late_caller(
        &self,
        headers: &HeaderMap,
        error: AuthError,
    ) -> Result<ExpiredIdentity, AuthError> {
        let credentials = credentials(headers)?;
        let (auth, grace) = (self.auth(), self.0.actions.late_grace());
        auth.late(&credentials, error, grace).await
    }

    /// The tasks of the server.
    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }
}

/// The credentials of a request.
///
/// # Errors
/// There are none, several, or such that nobody could read.
pub(super) fn credentials(headers: &HeaderMap) -> Result<Credentials<'_>, AuthError> {
    let values = headers.get_all(header::AUTHORIZATION).iter();
    Credentials::from_header_values(values.map(|value| value.as_bytes()))
}

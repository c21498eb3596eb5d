//! One request on its way through a front-end.
//!
//! A front-end handles a [`Call`] in a function that is linear and uses `?`, and hands what came of it to
//! [`Call::finish`]. A front-end has no other way to an [`Answered`], so no early return forgets the record of the
//! request or the rest of its body.

mod acceptance;
mod body;
mod client;
mod forward;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::Request;
use futures_util::FutureExt;
use http::request::Parts;

use super::Answering;
use super::app::App;
use super::http_error::HttpError;
use super::key;
use crate::auth::Identity;
use crate::cache::actions::UploadAuth;
use crate::cache::peers::Statement;
use crate::store::Tenancy;
use crate::store::memory::{self, MemoryShare};
use crate::telemetry::access::{EarlyRecord, Outcome, RequestRecord};

pub use super::reply::Reply;
pub use acceptance::{Acceptance, CallerCount};
pub use body::{MAX_DISCARDED_BYTES, RequestBody, expects_continue};
pub use client::{ClientWatch, while_connected};

/// A request, and what is known about it so far.
pub struct Call {
    /// What front-ends work with.
    pub app: App,
    /// The head of the request.
    pub parts: Parts,
    /// Its body, as far as it was not read.
    pub body: RequestBody,
    /// What goes into the log and the metrics.
    pub record: RequestRecord,
    /// Once it was opened: what the peer states that sent the request.
    statement: Option<Statement>,
    /// What the connection can tell of the client; nothing where a client that leaves ends the request anyway.
    pub client: Option<ClientWatch>,
    acceptance: Acceptance,
}

/// A request that was answered: what the client gets, and what only this server is to know.
#[derive(Debug)]
pub struct Answered {
    reply: Reply,
    record: RequestRecord,
    acceptance: Option<Acceptance>,
}

impl Call {
    /// The request of a client, for the front-end with this name.
    pub(super) fn begin(app: App, request: Request, protocol: &'static str, acceptance: Acceptance) -> Self {
        let (mut parts, body) = request.into_parts();
        if parts.uri.authority().is_some() {
            app.links().authorities().localize(&mut parts);
        }
        let early = parts.extensions.remove::<Arc<EarlyRecord>>();
        let client = parts.extensions.remove::<ClientWatch>();
        Self {
            app,
            parts,
            body: RequestBody::new(body, early),
            record: RequestRecord {
                protocol,
                ..RequestRecord::default()
            },
            statement: None,
            client,
            acceptance,
        }
    }

    /// The caller by its token. Comes before anything else is looked at, so that a client without a token learns
    /// nothing.
    ///
    /// # Errors
    /// The token is not good, its tenant has too many requests under way, or the request is one that no front-end could
    /// understand.
    pub async fn caller(&mut self) -> Result<Arc<Identity>, HttpError> {
        let caller = self.app.caller(&self.parts.headers).await?;
        self.name(&caller)?;
        self.note_early();
        self.check_target()?;
        Ok(caller)
    }

    /// [`Call::caller`] for the requests that begin an upload: the caller by its token, or by what a peer states.
    ///
    /// # Errors
    /// As [`Call::caller`].
    pub async fn uploader(&mut self) -> Result<Arc<Identity>, HttpError> {
        let Some(UploadAuth::Caller(caller)) = self.stated_auth()? else {
            return self.caller().await;
        };
        self.name(&caller)?;
        self.note_early();
        self.check_target()?;
        Ok(caller)
    }

    /// [`Call::caller`] for the requests that go on with an upload: a save can outlive its token, so one that
    /// has expired is let in as far as it has begun the same upload.
    ///
    /// # Errors
    /// As [`Call::caller`].
    pub async fn upload_auth(&mut self) -> Result<UploadAuth, HttpError> {
        let auth = match self.stated_auth()? {
            Some(stated) => stated,
            None => match self.app.caller(&self.parts.headers).await {
                Ok(caller) => UploadAuth::Caller(caller),
                Err(error) => {
                    // Boxed to keep the future of the common case small.
                    let late = Box::pin(self.app.late_caller(&self.parts.headers, error));
                    UploadAuth::Expired(late.await?)
                }
            },
        };
        self.name(auth.rights())?;
        self.note_early();
        self.check_target()?;
        Ok(auth)
    }

    /// Says to the connection that the credentials of this request are good, of whatever kind they are: until it is
    /// answered, it gives way to nobody.
    pub fn accept(&mut self) {
        self.acceptance.accept();
    }

    /// Says whose request this is, and counts it for its tenant.
    ///
    /// # Errors
    /// The tenant has too many requests under way.
    pub(crate) fn name(&mut self, caller: &Identity) -> Result<(), HttpError> {
        self.accept();
        self.record.issuer = Some(Arc::clone(&caller.issuer));
        self.record.namespace = Some(Arc::clone(caller.scope.writable().label()));
        self.count_for(&caller.tenancy)
    }

    /// Counts the request, until its answer has left, for its caller, or without one for whom the entry or the upload
    /// belongs to.
    ///
    /// # Errors
    /// That tenant has too many requests under way.
    pub(crate) fn count_for(&mut self, Tenancy { tenant, .. }: &Tenancy) -> Result<(), HttpError> {
        self.record.tenant = Some(Arc::clone(tenant.label()));
        self.acceptance.hold(self.app.cache().loads().enter(tenant)?);
        Ok(())
    }

    /// An empty share of the memory of requests, for whom this one counts.
    pub(crate) fn memory(&self) -> MemoryShare {
        let owner = self.record.tenant.clone().unwrap_or_else(memory::nobody);
        self.app.cache().memory().share(&owner)
    }

    /// Refuses a request that no front-end could understand.
    ///
    /// # Errors
    /// It names no server or several, or its target is not a path.
    pub fn check_target(&self) -> Result<(), HttpError> {
        key::host(&self.parts)?;
        key::path(&self.parts).map(|_| ())
    }

    /// Keeps a copy of the record, for a request that is cut off before its answer. The first copy counts.
    pub fn note_early(&self) {
        self.body.note_early(&self.record);
    }

    /// The end of every request: renders an error, completes the record, and discards what the client still
    /// sends.
    pub fn finish<E>(
        mut self,
        outcome: Result<Reply, E>,
        render: impl FnOnce(E, &mut RequestRecord) -> Reply,
    ) -> Answered {
        let reply = match outcome {
            Ok(reply) => {
                let succeeded = reply.response.status().is_success();
                // A protocol may have answers that decline a request without an error of HTTP: the record names the reason.
                debug_assert!(
                    !succeeded || self.record.outcome != Outcome::Failed || self.record.error.is_some(),
                    "the handler of a request that succeeds sets its outcome"
                );
                reply
            }
            Err(error) => render(error, &mut self.record),
        };
        self.record.received += self.body.received();
        self.body.discard(&self.app, &self.parts.headers);
        Answered {
            reply,
            record: self.record,
            acceptance: Some(self.acceptance),
        }
    }
}

/// The answer that `answering` gives. If it panics, or if no front-end takes the path, `fault` gives the reply.
/// Only `Dispatch` calls this.
pub(super) async fn answer_or_fault(
    protocol: &'static str,
    answering: Option<Answering>,
    fault: fn() -> Reply,
) -> Answered {
    let error = match answering {
        Some(answering) => match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(answered) => return answered,
            Err(_) => "a request handler panicked; see the message before this line",
        },
        None => "no front-end takes this path",
    };
    Answered::failed(protocol, fault(), error)
}

impl Answered {
    /// The answer to a request that our own code failed; `error` is for the operator.
    fn failed(protocol: &'static str, reply: Reply, error: &'static str) -> Self {
        let record = RequestRecord {
            protocol,
            outcome: Outcome::Failed,
            error: Some(error.into()),
            ..RequestRecord::default()
        };
        Self {
            reply,
            record,
            acceptance: None,
        }
    }

    /// What goes to the client, what to the record, and what to the connection.
    pub fn into_parts(self) -> (Reply, RequestRecord, Option<Acceptance>) {
        (self.reply, self.record, self.acceptance)
    }
}

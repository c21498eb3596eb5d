//! The first step of every front-end: who is asking.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use http::request::Parts;

use super::app::App;
use super::http_error::HttpError;
use super::key;
use crate::auth::Identity;
use crate::cache::actions::UploadAuth;
use crate::telemetry::access::{Early, RequestRecord};

/// A request whose caller is known.
pub struct Admitted<C = Arc<Identity>> {
    /// Who is asking.
    pub caller: C,
    /// The head of the request.
    pub parts: Parts,
    /// Its body, not yet touched.
    pub body: Body,
    /// What is known for the record.
    pub record: RequestRecord,
}

/// Authenticates before anything else is looked at, so that nobody without a token can probe.
///
/// # Errors
/// Why the caller is not known, for the front-end to put into its own form; the body is being discarded.
pub async fn admit(
    app: &App,
    request: Request,
    protocol: &'static str,
    route: &'static str,
) -> Result<Admitted, (HttpError, RequestRecord)> {
    // Taken apart after the wait, so that the parts are not kept in the future as well.
    let caller = app.caller(request.headers()).await;
    let (parts, body) = request.into_parts();
    let mut record = begin(protocol, route);
    if let Ok(caller) = &caller {
        name(&mut record, caller);
    }
    let_in(app, caller.map_err(HttpError::from), parts, body, record)
}

/// [`admit`] for the requests that end an upload: a save can outlive its token, so one that has expired is
/// let in as far as it has begun the same upload.
///
/// # Errors
/// As [`admit`].
pub async fn admit_late(
    app: &App,
    request: Request,
    protocol: &'static str,
    route: &'static str,
) -> Result<Admitted<UploadAuth>, (HttpError, RequestRecord)> {
    let caller = app.caller(request.headers()).await;
    let (parts, body) = request.into_parts();
    let mut record = begin(protocol, route);
    let auth = match caller {
        Ok(caller) => {
            name(&mut record, &caller);
            Ok(UploadAuth::Caller(caller))
        }
        Err(error) => match app.late_caller(&parts.headers, &error) {
            Some(token) => Ok(UploadAuth::Expired(token)),
            None => Err(error.into()),
        },
    };
    let_in(app, auth, parts, body, record)
}

/// The last step of both: `caller` is who is asking, if that is known.
#[expect(clippy::result_large_err, reason = "handed on as it is by both callers")]
fn let_in<C>(
    app: &App,
    caller: Result<C, HttpError>,
    parts: Parts,
    body: Body,
    record: RequestRecord,
) -> Result<Admitted<C>, (HttpError, RequestRecord)> {
    match caller.and_then(|caller| check(&parts, &record).map(|()| caller)) {
        Ok(caller) => Ok(Admitted {
            caller,
            parts,
            body,
            record,
        }),
        Err(failure) => {
            app.discard(&parts, body);
            Err((failure, record))
        }
    }
}

fn begin(protocol: &'static str, route: &'static str) -> RequestRecord {
    RequestRecord {
        protocol,
        route,
        ..RequestRecord::default()
    }
}

fn name(record: &mut RequestRecord, caller: &Identity) {
    record.issuer = Some(Arc::clone(&caller.issuer));
    record.namespace = Some(Arc::clone(caller.scope.writable().label()));
}

/// Refuses a request that no front-end could understand, once its caller is known.
fn check(parts: &Parts, record: &RequestRecord) -> Result<(), HttpError> {
    if let Some(early) = parts.extensions.get::<Arc<Early>>() {
        early.admitted(record);
    }
    key::host(parts)?;
    key::path(parts)?;
    Ok(())
}

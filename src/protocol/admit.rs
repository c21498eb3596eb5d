//! The first step of every front-end: who is asking.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use http::request::Parts;

use super::app::App;
use super::key;
use super::plain::Failure;
use crate::auth::Identity;
use crate::telemetry::access::{Early, Report};

/// A request whose caller is known.
pub struct Admitted {
    /// Who is asking.
    pub caller: Arc<Identity>,
    /// The head of the request.
    pub parts: Parts,
    /// Its body, not yet touched.
    pub body: Body,
    /// What is known for the record.
    pub report: Report,
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
) -> Result<Admitted, (Failure, Report)> {
    let mut report = Report {
        protocol,
        route,
        ..Report::default()
    };
    // Taken apart after the wait, so that the parts are not kept in the future as well.
    let caller = app.caller(request.headers()).await;
    let (parts, body) = request.into_parts();
    let caller = match caller {
        Ok(caller) => caller,
        Err(error) => {
            app.discard(&parts, body);
            return Err((error.into(), report));
        }
    };
    report.issuer = Some(Arc::clone(&caller.issuer));
    report.namespace = Some(Arc::clone(caller.scope.writable().label()));
    if let Some(early) = parts.extensions.get::<Arc<Early>>() {
        early.admitted(&report);
    }
    if let Err(failure) = key::host(&parts).and_then(|()| key::path(&parts)) {
        app.discard(&parts, body);
        return Err((failure, report));
    }
    Ok(Admitted {
        caller,
        parts,
        body,
        report,
    })
}

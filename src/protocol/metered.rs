//! The body of a request on its way to another server.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use futures_util::stream;
use http::request::Parts;
use http_body::Body as _;

use super::app::App;
use super::http_error::HttpError;
use super::incoming;
use super::relay::RelayError;
use crate::error::{Class, chain};
use crate::telemetry::access::Early;

/// What is seen of a body that passes.
#[derive(Debug)]
pub(super) struct Meter {
    early: Option<Arc<Early>>,
    bytes: AtomicU64,
    /// Why the client did not send all of it.
    cause: Mutex<Option<HttpError>>,
}

impl Meter {
    /// How many bytes have passed.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(early) = &self.early {
            early.received(bytes as u64);
        }
    }

    /// Why there is no answer: the connection to the other server may have broken because the one to the client
    /// did.
    pub(super) fn failure(&self, error: &RelayError) -> HttpError {
        let own = self.cause.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.unwrap_or_else(|| {
            HttpError::new(
                Class::Unavailable,
                "the server that answers this cannot be reached at this moment",
            )
            .because(chain(error))
        })
    }
}

/// A body that is counted as it is read, with the pauses that any body may have.
pub(super) fn metered(app: &App, parts: &Parts, body: Body) -> Result<(Body, Arc<Meter>), HttpError> {
    // The header that says so is of this connection only, and is not passed on.
    if !incoming::is_plain(&parts.headers) {
        app.discard(parts, body);
        return Err(incoming::unknown_coding());
    }
    let meter = Arc::new(Meter {
        early: parts.extensions.get::<Arc<Early>>().cloned(),
        bytes: AtomicU64::new(0),
        cause: Mutex::default(),
    });
    if body.is_end_stream() {
        return Ok((Body::empty(), meter));
    }
    let begin = (app.clone(), body, Arc::clone(&meter));
    let pieces = stream::unfold(Some(begin), |state| async {
        let (app, mut body, meter) = state?;
        match incoming::next(&app, &mut body).await {
            Ok(Some(data)) => {
                meter.count(data.len());
                Some((Ok(data), Some((app, body, meter))))
            }
            Ok(None) => None,
            Err(failure) => {
                let mut kept = meter.cause.lock().unwrap_or_else(PoisonError::into_inner);
                *kept = Some(failure);
                Some((Err(io::Error::other("the client did not send all")), None))
            }
        }
    });
    Ok((Body::from_stream(pieces), meter))
}

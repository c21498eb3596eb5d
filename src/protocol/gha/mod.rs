//! What the front-ends of GitHub's Actions cache share: callers, look-ups, and errors.
//!
//! The refusal of a caller begins with words that the toolkit looks for: it then goes on with a plain warning.

mod error;
mod lookup;

use std::sync::Arc;

use super::app::App;
use super::call::Call;
use super::http_error::HttpError;
use crate::auth::Identity;
use crate::cache::actions::UploadAuth;

pub(crate) use error::{Dialect, ErrorCase, GhaError, StatusAndCode};
pub(crate) use lookup::{cache_keys, find};

/// Longest body of a call that carries no bytes of an archive.
pub(crate) const MAX_CALL_BYTES: usize = 64 * 1024;

/// The caller of a look-up.
pub(crate) async fn reader(call: &mut Call) -> Result<Arc<Identity>, HttpError> {
    let denied = |error: HttpError| error.in_words("cache read denied: ");
    call.caller().await.map_err(denied)
}

/// The caller that begins an upload.
pub(crate) async fn writer(call: &mut Call) -> Result<Arc<Identity>, HttpError> {
    call.uploader().await.map_err(write_denied)
}

/// The caller that goes on with an upload.
pub(crate) async fn upload_auth(call: &mut Call) -> Result<UploadAuth, HttpError> {
    call.upload_auth().await.map_err(write_denied)
}

/// # Errors
/// No archive of `size` bytes is taken.
pub(crate) fn check_size(app: &App, size: u64) -> Result<(), HttpError> {
    let limit = app.max_entry_size();
    match size > limit {
        true => Err(HttpError::too_large(size, limit)),
        false => Ok(()),
    }
}

fn write_denied(error: HttpError) -> HttpError {
    error.in_words("cache write denied: ")
}

//! The callers of the Actions cache. A refusal begins with words that the toolkit looks for: it then goes on
//! with a plain warning.

use std::sync::Arc;

use crate::auth::Identity;
use crate::cache::actions::UploadAuth;
use crate::protocol::call::Call;
use crate::protocol::http_error::HttpError;

const READ_DENIED: &str = "cache read denied: ";
const WRITE_DENIED: &str = "cache write denied: ";

/// The caller of a look-up.
///
/// # Errors
/// As [`Call::caller`].
pub(crate) async fn reader(call: &mut Call) -> Result<Arc<Identity>, HttpError> {
    let caller = call.caller().await;
    caller.map_err(|error| error.in_words(READ_DENIED))
}

/// The caller that begins an upload.
///
/// # Errors
/// As [`Call::caller`].
pub(crate) async fn writer(call: &mut Call) -> Result<Arc<Identity>, HttpError> {
    let caller = call.caller().await;
    caller.map_err(|error| error.in_words(WRITE_DENIED))
}

/// The caller that goes on with an upload.
///
/// # Errors
/// As [`Call::upload_auth`].
pub(crate) async fn upload_auth(call: &mut Call) -> Result<UploadAuth, HttpError> {
    let auth = call.upload_auth().await;
    auth.map_err(|error| error.in_words(WRITE_DENIED))
}

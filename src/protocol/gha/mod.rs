//! What the front-ends of GitHub's Actions cache share: callers, look-ups, and errors.

mod caller;
mod dialect;
mod error;
mod lookup;

pub(crate) use caller::{reader, upload_auth, writer};
pub(crate) use dialect::{Dialect, StatusAndCode};
pub(crate) use error::{ErrorCase, GhaError};
pub(crate) use lookup::{LookupErrors, cache_keys, find};

/// Longest body of a call that carries no bytes of an archive.
pub(crate) const MAX_CALL_BYTES: usize = 64 * 1024;

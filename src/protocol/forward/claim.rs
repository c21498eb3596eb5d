//! Who calls, in the statement that goes with a request to the owner of an upload, in place of a token.
//!
//! ```text
//! c, the caller as `auth::vouch` writes it | x, the same of a token that has expired
//! ```

use std::sync::Arc;

use crate::auth::{vouch, vouched, vouched_expired};
use crate::cache::actions::UploadAuth;

const CALLER: u8 = b'c';
const EXPIRED: u8 = b'x';

/// The bytes that say who calls.
pub(super) fn encode(auth: &UploadAuth) -> Vec<u8> {
    let (kind, bytes) = match auth {
        UploadAuth::Caller(caller) => (CALLER, vouch(caller)),
        UploadAuth::Expired(expired) => (EXPIRED, vouch(expired.former())),
    };
    [&[kind], &bytes[..]].concat()
}

/// Who calls; `None` if the bytes say something else.
pub(super) fn decode(bytes: &[u8]) -> Option<UploadAuth> {
    let (kind, bytes) = bytes.split_first()?;
    match *kind {
        CALLER => Some(UploadAuth::Caller(Arc::new(vouched(bytes)?))),
        EXPIRED => Some(UploadAuth::Expired(vouched_expired(bytes)?)),
        _ => None,
    }
}

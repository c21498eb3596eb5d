//! `POST /_chacha/token/revoke` (RFC 7009): a job ends its own token. The token is the proof.

use std::time::Duration;

use http::header;
use serde_json::json;

use super::answer::as_json;
use super::error::TokenError;
use super::parameters::Parameters;
use crate::auth::{Credentials, RevokeError};
use crate::error::Class;
use crate::protocol::app::credentials;
use crate::protocol::call::{Call, Reply};
use crate::protocol::http_error::HttpError;
use crate::telemetry::access::Outcome;

const MAX_BODY_BYTES: usize = 32 * 1024;
/// When another try may succeed.
const RETRY: Duration = Duration::from_secs(5);

/// A token that is worth nothing is answered as one that was revoked: nobody can do anything about it.
pub(super) async fn revoke(call: &mut Call) -> Result<Reply, TokenError> {
    let body = call.small_body(MAX_BODY_BYTES).await?;
    let parameters = Parameters::read(&call.parts.headers, &body)?;
    let auth = call.app.auth();
    let in_header = call.parts.headers.contains_key(header::AUTHORIZATION);
    let token = match parameters.one("token")? {
        Some(_) if in_header => {
            return Err(TokenError::invalid_request(
                "there is an Authorization header beside token; send one of both",
            ));
        }
        Some(token) => Credentials::from_token(token),
        None if in_header => credentials(&call.parts.headers),
        None => return Err(TokenError::invalid_request("token is missing")),
    };
    let revocable = match token {
        Ok(token) => auth.revocable(&token)?,
        Err(_) => None,
    };
    if let Some(revocable) = revocable {
        if let Some(identity) = &revocable.identity {
            call.name(identity)?;
        }
        call.note_early();
        auth.revoke(revocable).await?;
    }
    call.check_target()?;
    call.record.outcome = Outcome::Control;
    Ok(as_json(json!({})))
}

impl From<RevokeError> for TokenError {
    fn from(error: RevokeError) -> Self {
        let text = error.to_string();
        let class = match error {
            RevokeError::NotOurs => return Self::new("unsupported_token_type", text),
            RevokeError::TooMany => Class::TooMany,
            RevokeError::NotKept(_) => Class::Unavailable,
        };
        HttpError::new(class, text).after(RETRY).into()
    }
}

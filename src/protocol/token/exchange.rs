//! `POST /_chacha/token`.

use super::answer::{self, as_json};
use super::error::TokenError;
use super::parameters::Parameters;
use super::request;
use crate::protocol::call::{Call, Reply};
use crate::telemetry::access::Outcome;

/// The longest token, and as much again for what else there may be.
const MAX_BODY_BYTES: usize = 32 * 1024;

pub(super) async fn exchange(call: &mut Call) -> Result<Reply, TokenError> {
    let body = call.small_body(MAX_BODY_BYTES).await?;
    let parameters = Parameters::read(&call.parts.headers, &body)?;
    let (targets, auth) = (request::targets(&parameters), call.app.auth());
    let here = (targets.as_slice(), call.app.links().base());
    let request = request::read(&parameters, &call.parts.headers, here)?;
    let issued = auth.exchange(&request).await?;
    call.name(&issued.identity)?;
    call.note_early();
    call.check_target()?;
    call.record.outcome = Outcome::Control;
    Ok(as_json(answer::issued(&issued)))
}

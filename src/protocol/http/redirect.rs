//! Sending clients to the remote tier for long entries (`s3.redirect: large`).

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use crate::auth::Identity;
use crate::cache::EntryName;
use crate::protocol::call::{Call, Reply};
use crate::telemetry::access::Outcome;

/// Clients that do not follow a redirect of a read, or send their token to wherever it leads. Bazel
/// (`bazel/<version>`) treats every other status than 200 as a fault of the cache.
const EXCLUDED_CLIENTS: [&str; 2] = ["bazel", "buck"];

/// A redirect, if there is a link for this request.
///
/// The link is valid for some minutes and for this entry only. A condition is weighed here, not there,
/// so such a request takes the ordinary way.
pub(super) async fn answer(call: &mut Call, caller: &Identity, name: &EntryName) -> Option<Reply> {
    let parts = &call.parts;
    if parts.method != Method::GET || is_excluded(parts) || is_conditional(parts) {
        return None;
    }
    // A tier that fails is met again, and told, on the ordinary way.
    let link = call.app.cache().link(caller, name).await.ok()??;
    let location = HeaderValue::from_str(link.as_str()).ok()?;
    call.record.outcome = Outcome::Hit;
    call.record.tier = "link";
    let mut reply = Reply::new(StatusCode::TEMPORARY_REDIRECT, "");
    let headers = reply.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    Some(reply)
}

fn is_excluded(parts: &Parts) -> bool {
    let agent = parts.headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let agent = agent.to_ascii_lowercase();
    EXCLUDED_CLIENTS.iter().any(|client| agent.starts_with(client))
}

fn is_conditional(parts: &Parts) -> bool {
    [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_MODIFIED_SINCE,
    ]
    .iter()
    .any(|name| parts.headers.contains_key(name))
}

//! Sending clients to the far tier for long entries (`s3.redirect: large`).

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use crate::auth::Identity;
use crate::cache::EntryName;
use crate::protocol::app::App;
use crate::protocol::reply::Reply;
use crate::telemetry::access::{Outcome, RequestRecord};

/// Clients that do not follow a redirect of a read, or send their token to wherever it leads. Bazel
/// (`bazel/<version>`) treats every other status than 200 as a fault of the cache.
const NEVER: [&str; 2] = ["bazel", "buck"];

/// A redirect, if there is a link for this request; else the record, for the ordinary way.
///
/// The link is valid for some minutes and for this entry only. A condition is weighed here, not there,
/// so such a request takes the ordinary way.
pub(super) async fn answer(
    app: &App,
    caller: &Identity,
    name: &EntryName,
    parts: &Parts,
    mut record: RequestRecord,
) -> Result<Reply, RequestRecord> {
    if parts.method != Method::GET || is_excluded(parts) || is_conditional(parts) {
        return Err(record);
    }
    // A tier that fails is met again, and told, on the ordinary way.
    let Ok(Some(link)) = app.cache().link(&caller.scope, name).await else {
        return Err(record);
    };
    let Ok(location) = HeaderValue::from_str(link.as_str()) else {
        return Err(record);
    };
    record.outcome = Outcome::Hit;
    record.tier = "link";
    let mut reply = Reply::new(StatusCode::TEMPORARY_REDIRECT, "", record);
    let headers = reply.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    Ok(reply)
}

fn is_excluded(parts: &Parts) -> bool {
    let agent = parts.headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let agent = agent.to_ascii_lowercase();
    NEVER.iter().any(|client| agent.starts_with(client))
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

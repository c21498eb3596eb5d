//! Job tokens. `/_chacha/token` exchanges a token for one (RFC 8693), `/_chacha/token/revoke` ends one (RFC 7009),
//! `/_chacha/whoami` says what a token is and may, and `/_chacha/token/audience` for whom a CI system has to make its tokens.
//!
//! All answers are JSON, are never stored by anybody, and have the names of RFC 8693, RFC 6749 and RFC 7662 where those
//! have one.

mod answer;
mod error;
mod exchange;
mod parameters;
mod request;
mod revoke;

use http::Method;
use serde_json::json;

use self::answer::as_json;
use self::error::TokenError;
use super::Frontend;
use super::app::credentials;
use super::call::{Call, Reply};
use super::path::DecodedPath;
use crate::telemetry::access::Outcome;

/// How logs and metrics name the paths.
const EXCHANGE: &str = "/_chacha/token";
const REVOKE: &str = "/_chacha/token/revoke";
const AUDIENCE: &str = "/_chacha/token/audience";
const WHOAMI: &str = "/_chacha/whoami";

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "token",
        claims: |path| route(path).is_some(),
        answer: |mut call| {
            Box::pin(async move {
                let outcome = handle(&mut call).await;
                call.finish(outcome, TokenError::render)
            })
        },
        fault: error::fault,
    }
}

/// What is below these paths and not here stays reserved.
fn route(path: &DecodedPath<'_>) -> Option<&'static str> {
    let routes: [(&str, &[&str]); 4] = [
        (EXCHANGE, &["_chacha", "token"]),
        (REVOKE, &["_chacha", "token", "revoke"]),
        (AUDIENCE, &["_chacha", "token", "audience"]),
        (WHOAMI, &["_chacha", "whoami"]),
    ];
    let found = routes
        .iter()
        .find(|(_, segments)| path.after(segments) == Some(None));
    found.map(|(route, _)| *route)
}

async fn handle(call: &mut Call) -> Result<Reply, TokenError> {
    let route = route(&DecodedPath::of(&call.parts.uri)).unwrap_or_default();
    call.record.route = route;
    match (route, &call.parts.method) {
        (EXCHANGE, &Method::POST) => Box::pin(exchange::exchange(call)).await,
        (REVOKE, &Method::POST) => Box::pin(revoke::revoke(call)).await,
        (WHOAMI, &Method::GET | &Method::HEAD) => Box::pin(whoami(call)).await,
        (AUDIENCE, &Method::GET | &Method::HEAD) => audience(call),
        (EXCHANGE | REVOKE, _) => Ok(TokenError::method(&mut call.record).method_not_allowed("POST")),
        _ => Ok(TokenError::method(&mut call.record).method_not_allowed("GET, HEAD")),
    }
}

async fn whoami(call: &mut Call) -> Result<Reply, TokenError> {
    // Counted for its tenant before anything is verified anew.
    call.caller().await?;
    let auth = call.app.auth();
    let found = auth.introspect(&credentials(&call.parts.headers)?).await?;
    call.record.outcome = Outcome::Control;
    Ok(as_json(answer::introspected(&found)))
}

/// Needs no token: a job that asks for its first one has none. Who may use this server is no secret, and no token is
/// accepted for it.
fn audience(call: &mut Call) -> Result<Reply, TokenError> {
    call.check_target()?;
    let auth = call.app.auth();
    let named = auth
        .audiences()
        .find_map(|(_, audiences)| audiences.first().cloned());
    let audience = named.or_else(|| call.app.links().base().map(str::to_owned));
    let issuer = |(url, audiences): (&str, &[String])| json!({ "issuer": url, "audiences": audiences });
    let issuers: Vec<_> = auth.audiences().map(issuer).collect();
    call.record.outcome = Outcome::Control;
    Ok(as_json(json!({ "audience": audience, "issuers": issuers })))
}

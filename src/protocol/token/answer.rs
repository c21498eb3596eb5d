//! What is told of tokens.

use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::auth::{Identity, Introspection, IssuedToken, JobTokenForm};
use crate::protocol::call::Reply;

/// A JSON Web Token, in `subject_token_type` and `requested_token_type`.
pub(super) const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Any token that lets its bearer in.
pub(super) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// 200 with JSON that nobody may store.
pub(super) fn as_json(value: Value) -> Reply {
    let mut reply = Reply::new(StatusCode::OK, "");
    set_json(&mut reply, &value);
    reply
}

/// Gives an answer this JSON for a body.
pub(super) fn set_json(reply: &mut Reply, value: &Value) {
    *reply.response.body_mut() = Body::from(value.to_string());
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// The answer of RFC 8693, section 2.2.1, with members of ours.
pub(super) fn issued(token: &IssuedToken) -> Value {
    let form = match token.form {
        JobTokenForm::Opaque => ACCESS_TOKEN_TYPE,
        JobTokenForm::Jwt => JWT_TYPE,
    };
    let expires_at = UNIX_EPOCH + Duration::from_secs(token.expires);
    let mut answer = json!({
        "access_token": token.text,
        "issued_token_type": form,
        "token_type": "Bearer",
        "expires_in": token.expires.saturating_sub(token.issued_at),
        "scope": scope(&token.identity),
        "id": token.id.to_string(),
        "expires_at": humantime::format_rfc3339_seconds(expires_at).to_string(),
        "namespaces": namespaces(&token.identity),
    });
    if let Some(reason) = &token.read_only_because {
        answer["read_only_because"] = reason.as_str().into();
    }
    answer
}

/// The names are those of RFC 7662, section 2.2, where it has one. What is not known is left out.
pub(super) fn introspected(found: &Introspection) -> Value {
    let Identity {
        issuer,
        subject,
        tenancy,
        ..
    } = &found.identity;
    let subject = Some(&**subject).filter(|subject| !subject.is_empty());
    let members: [(&str, Option<Value>); 12] = [
        ("active", Some(true.into())),
        ("exp", found.expires.map(Value::from)),
        ("iat", found.issued_at.map(Value::from)),
        ("sub", subject.map(Value::from)),
        ("scope", Some(scope(&found.identity).into())),
        ("id", found.id.map(|id| id.to_string().into())),
        ("issuer", Some((**issuer).into())),
        ("tenant", Some(tenancy.tenant.name().into())),
        ("group", Some(tenancy.tenant.group().into())),
        ("namespaces", Some(namespaces(&found.identity).into())),
        ("run", found.run.as_deref().map(Value::from)),
        ("job", found.job.as_deref().map(Value::from)),
    ];
    let known = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect::<Map<_, _>>())
}

fn scope(caller: &Identity) -> &'static str {
    match (caller.scope.readable().len() > 0, caller.may_write) {
        (true, true) => "read write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "",
    }
}

/// The one that is written first, then those that are read, in their order.
fn namespaces(caller: &Identity) -> Vec<String> {
    let written = caller.may_write.then(|| caller.scope.writable());
    let read = caller.scope.readable().filter(|one| Some(*one) != written);
    written
        .into_iter()
        .chain(read)
        .map(|one| one.path().to_string())
        .collect()
}

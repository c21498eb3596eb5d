//! The URLs that the Actions cache gives out: `/_chacha/blob/{ticket}?se=...&sig=...`, in the dialect of
//! Azure's Blob storage, which the clients of the second generation speak. Those of the first download here.
//!
//! The ticket is the credential: one entry to read, or one upload to fill, until `se`. No token is looked
//! at; clients send none, and if one does, it changes nothing.

mod block_id;
mod block_list;
mod error;
mod read;
mod write;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::call::{Call, Reply};
use super::path::DecodedPath;
use super::{Frontend, query};
use crate::auth::{Ticket, TicketError};
use crate::cache::actions::Permission;
use error::{BlobError, DIALECT};

pub(crate) use block_list::parse as parse_block_list;

const ROOT: &[&str] = &["_chacha", "blob"];

/// How logs and metrics name the paths.
const BLOB: &str = "/_chacha/blob/{ticket}";
const BLOCK: &str = "/_chacha/blob/{ticket}?comp=block";
const LIST: &str = "/_chacha/blob/{ticket}?comp=blocklist";

static REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const VERSION: HeaderName = HeaderName::from_static("x-ms-version");

/// A version is a date.
const MAX_VERSION_BYTES: usize = 16;

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "blob",
        claims: |path| path.is_below(ROOT),
        answer: |mut call| {
            Box::pin(async move {
                let version = version(&call.parts.headers);
                let outcome = handle(&mut call).await;
                let sign = |reply| sign(reply, version.as_ref());
                call.finish(outcome.map(sign), |error, record| sign(error.render(record)))
            })
        },
        fault: || sign(DIALECT.fault(), None),
    }
}

/// Gives an answer what every one has. Azure's SDK for Go takes the id without looking whether there is one.
fn sign(mut reply: Reply, version: Option<&HeaderValue>) -> Reply {
    reply.id_header = Some(&REQUEST_ID);
    if let Some(version) = version {
        reply.headers_mut().insert(VERSION, version.clone());
    }
    reply
}

/// The version of the dialect that the client speaks (a date), to be sent back.
fn version(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(&VERSION)?;
    let date = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    (value.len() <= MAX_VERSION_BYTES && value.as_bytes().iter().all(date)).then(|| value.clone())
}

async fn handle(call: &mut Call) -> Result<Reply, BlobError> {
    call.record.route = BLOB;
    let permission = permission(call)?;
    match (&call.parts.method, permission) {
        (&Method::GET | &Method::HEAD, Permission::Read(permit)) => read::answer(call, &permit).await,
        (&Method::PUT, Permission::Write(id)) => write::answer(call, id).await,
        (&Method::GET | &Method::HEAD | &Method::PUT, _) => Err(BlobError::OTHER_DIRECTION),
        _ => Err(BlobError::VERB),
    }
}

/// The permission in the ticket of the URL. Checked before everything else, so that a client without a ticket
/// learns nothing.
fn permission(call: &mut Call) -> Result<Permission, BlobError> {
    let ticket = ticket(&call.parts).ok_or(BlobError::FORGED)?;
    let permission = call
        .app
        .actions()
        .permission(&ticket)
        .map_err(|error| match error {
            TicketError::Forged => BlobError::FORGED,
            TicketError::Expired => BlobError::EXPIRED,
        })?;
    call.accept();
    call.check_target()?;
    Ok(permission)
}

/// Clients put parameters of their own into the query, before, between and behind those of the ticket.
fn ticket(parts: &Parts) -> Option<Ticket> {
    let path = DecodedPath::of(&parts.uri);
    let body = std::str::from_utf8(path.after(ROOT)??).ok()?;
    let expires = query::parameter(parts, "se").ok()??;
    let signature = query::parameter(parts, "sig").ok()??;
    Ticket::from_parts(body, &expires, &signature)
}

/// When an entry was stored, as HTTP writes it.
fn insert_last_modified(headers: &mut HeaderMap, time: std::time::SystemTime) {
    if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(time)) {
        headers.insert(header::LAST_MODIFIED, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As short as they can be: a nonce and more, a tag.
    const BODY: &str = "Ym9keS1ib2R5LWJvZHk";
    const SIGNATURE: &str = "c2lnbmF0dXJlLTE2Ynl0ZQ";

    fn found(target: &str) -> Option<(String, u64, String)> {
        let (parts, ()) = http::Request::get(target).body(()).unwrap().into_parts();
        let ticket = ticket(&parts)?;
        Some((ticket.body().into(), ticket.expires(), ticket.signature().into()))
    }

    #[test]
    fn the_ticket_is_found_wherever_clients_put_their_own_parameters() {
        let expected = Some((BODY.to_owned(), 1_800_000_000, SIGNATURE.to_owned()));
        for query in [
            "se=1800000000&sig=c2lnbmF0dXJlLTE2Ynl0ZQ",
            "sig=c2lnbmF0dXJlLTE2Ynl0ZQ&se=1800000000",
            "comp=block&blockid=AAAA&se=1800000000&sig=c2lnbmF0dXJlLTE2Ynl0ZQ",
            "se=1800000000&sig=c2lnbmF0dXJlLTE2Ynl0ZQ&comp=blocklist",
            "se=1800000000&sig=%632lnbmF0dXJlLTE2Ynl0ZQ&x",
        ] {
            assert_eq!(
                found(&format!("/_chacha/blob/{BODY}?{query}")),
                expected,
                "{query}"
            );
        }
        for target in [
            format!("/_chacha/blob/{BODY}"),
            format!("/_chacha/blob/{BODY}?se=1800000000"),
            format!("/_chacha/blob/{BODY}?sig={SIGNATURE}"),
            format!("/_chacha/blob?se=1800000000&sig={SIGNATURE}"),
            format!("/_chacha/blob/%ff?se=1800000000&sig={SIGNATURE}"),
        ] {
            assert_eq!(found(&target), None, "{target}");
        }
    }

    #[test]
    fn only_a_version_is_sent_back() {
        let echoed = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(VERSION, HeaderValue::from_static(value));
            version(&headers).is_some()
        };
        assert!(echoed("2025-11-05"));
        assert!(!echoed("<script>"));
        assert!(!echoed("2025-11-05-2025-11-05"));
        assert!(version(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_fault_of_ours_is_named_and_coded_too() {
        let reply = (frontend().fault)();
        assert_eq!(reply.id_header, Some(&REQUEST_ID));
        assert_eq!(reply.response.status(), 500);
        assert_eq!(reply.response.headers()["x-ms-error-code"], "InternalError");
    }
}

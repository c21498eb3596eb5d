//! Put Blob, Put Block and Put Block List. Success is exactly 201: the SDK for JavaScript takes no other.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::error::{Fault, Refusal};
use super::{BLOB, BLOCK, Handled, LIST, block_id, block_list, insert_last_modified};
use crate::cache::actions::{Place, UploadId};
use crate::protocol::app::App;
use crate::protocol::reply::Reply;
use crate::protocol::{elsewhere, entry, incoming, query};
use crate::store::ETag;
use crate::sys;
use crate::telemetry::access::{Early, Outcome, RequestRecord};

const BLOB_TYPE: HeaderName = HeaderName::from_static("x-ms-blob-type");
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-ms-copy-source");

/// 50,000 ids of 88 characters with their tags, and room for blanks.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Longer lists are read away from the async threads.
const QUICK_BYTES: usize = 64 * 1024;

/// What a request puts.
enum Action {
    Bytes(Place),
    List,
}

pub(super) async fn answer(
    app: &App,
    id: UploadId,
    parts: Parts,
    body: Body,
    mut record: RequestRecord,
) -> Handled {
    let action = match action(&parts) {
        Ok(action) => action,
        Err(fault) => {
            app.discard(&parts, body);
            return Err((fault, record));
        }
    };
    record.route = match action {
        Action::Bytes(Place::Block(_)) => BLOCK,
        Action::Bytes(_) => BLOB,
        Action::List => LIST,
    };
    record.tier = "disk";
    if let Some(early) = parts.extensions.get::<Arc<Early>>() {
        early.admitted(&record);
    }
    if let Some(url) = elsewhere::home(app, &parts, id).await {
        let passed = elsewhere::pass(app, &url, parts, body, record).await;
        return passed.map_err(|(failure, record)| (failure.into(), record));
    }
    let etag = match action {
        Action::Bytes(place) => {
            let received = entry::stage(app, id, place, None, &parts, body).await;
            record.received = received.bytes;
            received.result.map(|()| None).map_err(Fault::from)
        }
        Action::List => arrange(app, id, &parts, body, &mut record).await.map(Some),
    };
    match etag {
        Ok(etag) => Ok(created(etag, record)),
        Err(fault) => Err((fault, record)),
    }
}

fn action(parts: &Parts) -> Result<Action, Fault> {
    if parts.headers.contains_key(COPY_SOURCE) {
        // There would be no body, and an empty entry.
        return Err(Fault::Refused(&Refusal::COPY));
    }
    match query::parameter(parts, "comp")?.as_deref() {
        None => match parts.headers.get(BLOB_TYPE) {
            Some(kind) if !kind.as_bytes().eq_ignore_ascii_case(b"BlockBlob") => {
                Err(Fault::Refused(&Refusal::KIND))
            }
            _ => Ok(Action::Bytes(Place::Whole)),
        },
        Some("block") => {
            let text = query::parameter(parts, "blockid")?;
            let text = text.ok_or(Fault::Refused(&Refusal::NO_BLOCK_ID))?;
            let id = block_id::decode(text.as_bytes()).ok_or(Fault::Refused(&Refusal::BLOCK_ID))?;
            Ok(Action::Bytes(Place::Block(id)))
        }
        Some("blocklist") => Ok(Action::List),
        Some(_) => Err(Fault::Refused(&Refusal::COMPONENT)),
    }
}

async fn arrange(
    app: &App,
    id: UploadId,
    parts: &Parts,
    body: Body,
    record: &mut RequestRecord,
) -> Result<ETag, Fault> {
    let xml = incoming::small(app, parts, body, MOST_BYTES).await?;
    record.received = xml.len() as u64;
    let blocks = match xml.len() {
        0..=QUICK_BYTES => block_list::parse(&xml),
        _ => sys::run_blocking(move || block_list::parse(&xml))
            .await
            .unwrap_or(Err(block_list::Flaw::Syntax)),
    };
    let blocks = blocks.map_err(|flaw| {
        Fault::Refused(match flaw {
            block_list::Flaw::Syntax => &Refusal::XML,
            block_list::Flaw::Id => &Refusal::XML_VALUE,
            block_list::Flaw::TooLong => &Refusal::LIST_TOO_LONG,
        })
    })?;
    Ok(app.actions().put_block_list(id, blocks).await?)
}

fn created(etag: Option<ETag>, mut record: RequestRecord) -> Reply {
    record.outcome = Outcome::Control;
    let mut reply = Reply::new(StatusCode::CREATED, Body::empty(), record);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    insert_last_modified(headers, SystemTime::now());
    if let Some(etag) = etag {
        entry::insert_etag(headers, &etag);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, header: Option<(&str, &str)>, expected: &str) {
        let mut request = http::Request::put(format!("/x?se=1&{query}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let found = match action(&parts) {
            Ok(Action::Bytes(place)) => format!("{place:?}"),
            Ok(Action::List) => "List".to_owned(),
            Err(Fault::Refused(refusal)) => format!("{refusal:?}"),
            Err(Fault::Trouble(trouble)) => format!("{trouble:?}"),
        };
        assert!(found.contains(expected), "{query}: {found}");
    }

    #[test]
    fn requests_are_told_apart_by_their_query() {
        check("sig=x", None, "Whole");
        check("sig=x", Some(("x-ms-blob-type", "BlockBlob")), "Whole");
        check("sig=x&comp=block&blockid=AQID", None, "Block([1, 2, 3])");
        check(
            "comp=block&blockid=%2B%2F%2B%2F&sig=x",
            None,
            "Block([251, 255, 191])",
        );
        check("comp=block&blockid=+/+/&sig=x", None, "Block([251, 255, 191])");
        check("comp=blocklist&sig=x", None, "List");
    }

    #[test]
    fn what_this_storage_does_not_have_is_refused() {
        check(
            "sig=x",
            Some(("x-ms-blob-type", "PageBlob")),
            "InvalidHeaderValue",
        );
        check(
            "sig=x",
            Some(("x-ms-copy-source", "http://x")),
            "UnsupportedHeader",
        );
        check("comp=appendblock", None, "InvalidQueryParameterValue");
        check("comp=", None, "InvalidQueryParameterValue");
        check("comp=block", None, "MissingRequiredQueryParameter");
        check("comp=block&blockid=", None, "InvalidQueryParameterValue");
        check("comp=block&blockid=%25", None, "InvalidQueryParameterValue");
        check("comp=block&blockid=%ff", None, "not percent-encoded");
    }
}

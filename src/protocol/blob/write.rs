//! Put Blob, Put Block and Put Block List. Success is exactly 201: the SDK for JavaScript takes no other.

use std::time::SystemTime;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::block_list::{self, BlockListError, MAX_BLOCKS};
use super::error::BlobError;
use super::{BLOB, BLOCK, LIST, block_id, insert_last_modified};
use crate::cache::actions::{BlockPlace, UploadId};
use crate::protocol::call::{Call, Reply};
use crate::protocol::http_error::HttpError;
use crate::protocol::{entry, framing, query};
use crate::store::ETag;
use crate::sys;
use crate::telemetry::access::Outcome;

const BLOB_TYPE: HeaderName = HeaderName::from_static("x-ms-blob-type");
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-ms-copy-source");

/// Longest list: 50,000 ids of 88 characters with their tags, and room for blanks.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;
/// Longer lists are read away from the async threads.
const MAX_INLINE_LIST_BYTES: usize = 64 * 1024;

/// The shortest text that names a block: `<Latest>QQ</Latest>`.
const MIN_ITEM_BYTES: usize = 19;
/// What the longest id takes in memory: a pointer with a length, 64 bytes, and what the allocator adds.
const ITEM_MEMORY_BYTES: usize = 96;

/// What a request puts.
enum PutAction {
    Bytes(BlockPlace),
    List,
}

pub(super) async fn answer(call: &mut Call, id: UploadId) -> Result<Reply, BlobError> {
    let action = action(&call.parts)?;
    call.record.route = match action {
        PutAction::Bytes(BlockPlace::Block(_)) => BLOCK,
        PutAction::Bytes(_) => BLOB,
        PutAction::List => LIST,
    };
    if let Some(owner) = call.app.actions().tenancy_of(id) {
        call.count_for(&owner)?;
    }
    call.note_early();
    if let PutAction::Bytes(_) = action {
        // Passed on, it would look like an empty body that was meant.
        framing::check_stored(&call.parts)?;
    }
    if let Some(reply) = call.forward_to_owner(id, None).await? {
        return Ok(reply);
    }
    let etag = match action {
        PutAction::Bytes(place) => {
            entry::put_block(call, id, place, None).await?;
            None
        }
        PutAction::List => Some(put_block_list(call, id).await?),
    };
    call.record.outcome = Outcome::Control;
    Ok(created(etag))
}

fn action(parts: &Parts) -> Result<PutAction, BlobError> {
    if parts.headers.contains_key(COPY_SOURCE) {
        // There would be no body, and an empty entry.
        return Err(BlobError::COPY);
    }
    match query::parameter(parts, "comp")?.as_deref() {
        None => match parts.headers.get(BLOB_TYPE) {
            Some(kind) if !kind.as_bytes().eq_ignore_ascii_case(b"BlockBlob") => Err(BlobError::KIND),
            _ => Ok(PutAction::Bytes(BlockPlace::Whole)),
        },
        Some("block") => {
            let text = query::parameter(parts, "blockid")?;
            let text = text.ok_or(BlobError::NO_BLOCK_ID)?;
            let id = block_id::decode(text.as_bytes()).ok_or(BlobError::BLOCK_ID)?;
            Ok(PutAction::Bytes(BlockPlace::Block(id)))
        }
        Some("blocklist") => Ok(PutAction::List),
        Some(_) => Err(BlobError::COMPONENT),
    }
}

async fn put_block_list(call: &mut Call, id: UploadId) -> Result<ETag, BlobError> {
    let (xml, mut memory) = call.counted_body(MAX_LIST_BYTES).await?.into_parts();
    // The text goes when its blocks are known, and they are there until the list counts.
    let blocks = (xml.len() / MIN_ITEM_BYTES).min(MAX_BLOCKS);
    let held = memory.hold_or_refuse((xml.capacity() + blocks * ITEM_MEMORY_BYTES) as u64);
    held.map_err(HttpError::from)?;
    let is_short = xml.len() <= MAX_INLINE_LIST_BYTES;
    let blocks = sys::run_sized(is_short, move || block_list::parse(&xml)).await;
    let blocks = blocks.unwrap_or(Err(BlockListError::Syntax));
    let blocks = blocks.map_err(|error| match error {
        BlockListError::Syntax => BlobError::XML,
        BlockListError::Id => BlobError::XML_VALUE,
        BlockListError::TooLong => BlobError::LIST_TOO_LONG,
    })?;
    Ok(call.app.actions().put_block_list(id, blocks).await?)
}

fn created(etag: Option<ETag>) -> Reply {
    let mut reply = Reply::new(StatusCode::CREATED, Body::empty());
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
            Ok(PutAction::Bytes(place)) => format!("{place:?}"),
            Ok(PutAction::List) => "List".to_owned(),
            Err(error) => format!("{error:?}"),
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

//! `GET` and `HEAD` of an entry.

use std::sync::Arc;

use http::header;
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use super::error::{self, BlobError};
use super::insert_last_modified;
use crate::cache::actions::ReadPermit;
use crate::error::chain;
use crate::protocol::call::{Call, Reply};
use crate::protocol::entry;
use crate::range::ByteRange;
use crate::telemetry::access::Outcome;

/// BuildKit reads from an offset with this header only, and does not check that it got a part.
const RANGE: HeaderName = HeaderName::from_static("x-ms-range");
const BLOB_TYPE: HeaderName = HeaderName::from_static("x-ms-blob-type");

pub(super) async fn answer(call: &mut Call, permit: &ReadPermit) -> Result<Reply, BlobError> {
    prefer_own_range(&mut call.parts)?;
    let found = call.app.actions().read(permit).await.unwrap_or_else(|error| {
        // A tier that fails is a miss with a note for the operator, as on every read.
        call.record.error = Some(chain(&error).into());
        None
    });
    let entry = found.ok_or(BlobError::NOT_FOUND)?;
    call.record.outcome = Outcome::Hit;
    let meta = Arc::clone(&entry.meta);
    call.record.issuer = Some(Arc::clone(&meta.origin.issuer));
    if let Some(owner) = &meta.origin.tenancy {
        call.count_for(owner)?;
    }
    let mut reply = error::translate(entry::serve(call, entry));
    let headers = reply.headers_mut();
    headers.insert(BLOB_TYPE, HeaderValue::from_static("BlockBlob"));
    insert_last_modified(headers, meta.origin.stored);
    Ok(reply)
}

/// `x-ms-range` wins over `Range`. One that cannot be read is refused: its client would take the whole entry
/// for the part.
fn prefer_own_range(parts: &mut Parts) -> Result<(), BlobError> {
    let Some(own) = parts.headers.remove(RANGE) else {
        return Ok(());
    };
    if own.to_str().ok().and_then(ByteRange::parse).is_none() {
        return Err(BlobError::RANGE);
    }
    parts.headers.insert(header::RANGE, own);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_header_wins() {
        let range = |headers: &[(&'static str, &'static str)]| {
            let mut request = http::Request::get("/x");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            prefer_own_range(&mut parts).ok()?;
            Some(
                parts
                    .headers
                    .get("range")
                    .map(|value| value.to_str().unwrap().to_owned()),
            )
        };
        let some = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(range(&[]), Some(None));
        assert_eq!(range(&[("range", "bytes=1-")]), some("bytes=1-"));
        assert_eq!(range(&[("x-ms-range", "bytes=2-")]), some("bytes=2-"));
        assert_eq!(
            range(&[("range", "bytes=1-"), ("x-ms-range", "bytes=2-3")]),
            some("bytes=2-3")
        );
        assert_eq!(range(&[("x-ms-range", "bytes=x")]), None);
        assert_eq!(range(&[("x-ms-range", "bytes=1-2,4-5")]), None);
    }
}

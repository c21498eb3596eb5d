//! The headers of an answer with an entry.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, header};

use crate::store::ETag;

/// Made once: a copy costs a third of what it takes to put the headers in one after the other, which was more than a
/// twentieth of a small read.
static READ: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    // Links to bodies are URLs that a browser can open, and what is there came from a client. Together with the type
    // this leaves a browser nothing but to save it, so no Content-Disposition is needed.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    insert_fixed(&mut headers);
    // Only its place: a value is put in without a new one.
    headers.insert(header::ETAG, HeaderValue::from_static(""));
    headers
});

/// Those of an answer with bytes of the entry with this tag, with the media type of opaque bytes. Their length is
/// written by the connection.
pub(super) fn read(etag: &ETag) -> HeaderMap {
    let mut headers = READ.clone();
    insert_etag(&mut headers, etag);
    headers
}

/// Those of an answer that only says that the client has the entry with this tag.
pub(super) fn insert_known(headers: &mut HeaderMap, etag: &ETag) {
    insert_fixed(headers);
    insert_etag(headers, etag);
}

/// What every successful read has.
fn insert_fixed(headers: &mut HeaderMap) {
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
}

/// Shared with the entry; a tag is hexadecimal, so this cannot fail.
pub fn insert_etag(headers: &mut HeaderMap, etag: &ETag) {
    if let Ok(value) = HeaderValue::from_maybe_shared(etag.quoted().clone()) {
        headers.insert(header::ETAG, value);
    }
}

//! The WebDAV subset of sccache (opendal): folders always exist, files are entries (RFC 4918).
//!
//! sccache 0.19 asks `PROPFIND` for the parents of every key before it writes. Anything but 207 costs
//! eleven requests for each write, or makes the cache read-only.

use axum::body::Body;
use http::{HeaderValue, StatusCode, header};

use super::{METHODS, entry_name};
use crate::auth::Identity;
use crate::protocol::call::{Call, Reply};
use crate::protocol::http_error::{self, HttpError};
use crate::protocol::{entry, key};
use crate::telemetry::access::Outcome;

/// Required by the parser of opendal; entries carry no date that a client may rely on.
const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// Describes the resource itself, whatever `Depth` says: there are no listings.
pub(super) async fn propfind(call: &mut Call, caller: &Identity) -> Result<Reply, HttpError> {
    call.record.outcome = Outcome::Control;
    call.record.route = "PROPFIND /{key}";
    let path = call.parts.uri.path();
    if path != "/" {
        key::decode(&call.parts)?;
    }
    if path.ends_with('/') {
        return Ok(multistatus(
            path,
            "<D:resourcetype><D:collection/></D:resourcetype>",
        ));
    }
    let name = entry_name(&call.parts)?;
    let Some(meta) = entry::head(&call.app, caller, &name).await else {
        return Ok(http_error::not_found(&mut call.record));
    };
    let properties = format!(
        "<D:getcontentlength>{}</D:getcontentlength><D:getetag>\"{}\"</D:getetag><D:resourcetype/>",
        meta.size,
        meta.etag.as_str()
    );
    Ok(multistatus(call.parts.uri.path(), &properties))
}

/// Folders need no state: every one exists.
pub(super) fn mkcol(call: &mut Call) -> Reply {
    call.record.outcome = Outcome::Control;
    call.record.route = "MKCOL /{key}";
    Reply::new(StatusCode::CREATED, Body::empty())
}

pub(super) fn options(call: &mut Call) -> Reply {
    call.record.outcome = Outcome::Control;
    let mut reply = Reply::new(StatusCode::OK, Body::empty());
    let headers = reply.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    headers.insert("dav", HeaderValue::from_static("1"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization"),
    );
    reply
}

fn multistatus(path: &str, properties: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>{}</D:href>\
         <D:propstat><D:prop><D:getlastmodified>{EPOCH}</D:getlastmodified>{properties}</D:prop>\
         <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>\n",
        escape(path)
    );
    let mut reply = Reply::new(StatusCode::MULTI_STATUS, Body::from(text));
    let xml = HeaderValue::from_static("application/xml; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, xml);
    reply
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_in_a_path_stays_text() {
        assert_eq!(super::escape("/a&<b>\"'"), "/a&amp;&lt;b&gt;&quot;&apos;");
    }
}

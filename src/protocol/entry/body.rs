//! From the bytes of an entry to a response.

use axum::body::Body;
use http::{HeaderValue, StatusCode, header};

use crate::protocol::reply::Reply;
use crate::store::Content;
use crate::telemetry::access::Report;

/// An answer with the bytes of an entry and the media type of opaque bytes. Their length is written by
/// the connection.
pub(super) fn respond(status: StatusCode, content: Content, mut report: Report) -> Reply {
    let mut reply = match content {
        Content::Memory(bytes) => {
            report.tier = "memory";
            Reply::new(status, bytes, report)
        }
        Content::File(part) => {
            report.tier = "disk";
            let reply = Reply::new(status, Body::empty(), report);
            Reply {
                file: Some(part),
                ..reply
            }
        }
    };
    let headers = reply.headers_mut();
    headers.reserve(6);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    reply
}

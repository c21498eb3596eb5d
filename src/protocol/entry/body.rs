//! From the bytes of an entry to a response.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::store::{Content, FileRange};
use crate::telemetry::access::Report;

/// The file that is the body of a response. Travels in the extensions, beside an empty body: how the
/// file leaves is the business of the connection.
#[derive(Debug, Clone)]
pub struct FileBody(pub FileRange);

/// An answer with the bytes of an entry, its length and the media type of opaque bytes.
pub(super) fn respond(status: StatusCode, content: Content, mut report: Report) -> Response {
    let length = content.len();
    report.tier = content.tier();
    let mut response = match content {
        Content::Memory(bytes) => Response::new(Body::from(bytes)),
        Content::File(part) => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(FileBody(part));
            response
        }
        far @ Content::Remote(_) => Response::new(Body::from_stream(far.pieces())),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response.extensions_mut().insert(report);
    response
}

//! From the bytes of an entry to a response.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::store::{Content, FileRange};
use crate::telemetry::access::Report;

/// A file that the connection may send in place of the body, without copying it. Travels in the
/// extensions of the response; a transport that cannot do that sends the body, which is the same bytes.
#[derive(Debug, Clone)]
pub struct FileBody(pub FileRange);

/// An answer with the bytes of an entry, its length and the media type of opaque bytes.
pub(super) fn respond(status: StatusCode, content: Content, mut report: Report) -> Response {
    let length = content.len();
    let mut response = match content {
        Content::Memory(bytes) => {
            report.tier = "memory";
            Response::new(Body::from(bytes))
        }
        Content::File(part) => {
            report.tier = "disk";
            let mut response =
                Response::new(Body::new(http_body_util::StreamBody::new(frames(part.clone()))));
            response.extensions_mut().insert(FileBody(part));
            response
        }
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

/// The fallback for transports that cannot send a file.
fn frames(
    part: FileRange,
) -> impl futures_util::Stream<Item = std::io::Result<http_body::Frame<bytes::Bytes>>> + Send + 'static {
    use futures_util::TryStreamExt;
    Content::File(part).pieces().map_ok(http_body::Frame::data)
}

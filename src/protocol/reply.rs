//! What a front-end answers: the response, and what only this server is to know about it.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::store::FileRange;
use crate::telemetry::access::RequestRecord;

/// An answer. The file and the record stand beside the response, not in its extensions, which are a
/// table of boxes: setting one up costs a small read 3 % of its instructions.
#[derive(Debug)]
pub struct Reply {
    /// What the client gets.
    pub response: Response,
    /// The file that is the body, beside an empty one: how it leaves is the business of the connection.
    pub file: Option<FileRange>,
    /// A header that tells the client the name of the request, whatever the answer is.
    pub named: Option<&'static HeaderName>,
    /// What goes into the record of the request.
    pub record: RequestRecord,
}

impl Reply {
    /// An answer from memory.
    pub fn new(status: StatusCode, body: impl Into<Body>, record: RequestRecord) -> Self {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        Self {
            response,
            file: None,
            named: None,
            record,
        }
    }

    /// The headers so far.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    /// Gives the answer another status.
    pub fn set_status(&mut self, status: StatusCode) {
        *self.response.status_mut() = status;
    }
}

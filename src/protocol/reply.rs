//! What a handler answers.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::store::FileRange;

/// What the client gets. The file stands beside the response, not in its extensions, which are a table of
/// boxes: setting one up costs a small read 3 % of its instructions.
#[derive(Debug)]
pub struct Reply {
    /// Status, headers and body.
    pub response: Response,
    /// The file that is the body, beside an empty one: how it leaves is the business of the connection.
    pub file: Option<FileRange>,
    /// A header that tells the client the id of the request, also on success.
    pub id_header: Option<&'static HeaderName>,
}

impl Reply {
    /// An answer from memory.
    pub fn new(status: StatusCode, body: impl Into<Body>) -> Self {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        Self {
            response,
            file: None,
            id_header: None,
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

    /// Makes it the answer to a method that its path does not have; `methods` are those that it has.
    #[must_use]
    pub fn method_not_allowed(mut self, methods: &'static str) -> Self {
        self.set_status(StatusCode::METHOD_NOT_ALLOWED);
        let methods = HeaderValue::from_static(methods);
        self.headers_mut().insert(header::ALLOW, methods);
        self
    }
}

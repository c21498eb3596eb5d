//! Who else may sit at the address of a store, and what stores of others are known to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::faults::{Action, Faults, Quirk, Which};
use super::front::Answered;
use super::request::Kind;

/// An answer that S3 would not give.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    status: StatusCode,
    headers: HeaderMap,
    body: &'static str,
}

impl Foreign {
    pub(crate) fn new(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Self {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.iter().map(pair).collect(),
            body,
        }
    }

    /// A page of a web server.
    pub(crate) fn page(status: u16) -> Self {
        let page = "<!doctype html><html><head><meta charset=utf-8><title>Console</title></head></html>\n";
        Self::new(
            status,
            &[("content-type", "text/html"), ("server", "nginx")],
            page,
        )
    }

    pub(crate) fn throttled_by_r2() -> Self {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>TooManyRequests</Code><Message>Reduce \
                    your concurrent request rate for the same object.</Message></Error>";
        Self::new(429, &[("content-type", "application/xml")], text)
    }

    pub(super) fn answer(&self) -> Answered {
        let mut response = Response::new(s3s::Body::from(Bytes::from_static(self.body.as_bytes())));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// When each object was written last.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteTimes(Arc<Mutex<HashMap<String, Instant>>>);

impl WriteTimes {
    /// Notes a write, unless it comes too soon after the one before.
    pub(super) fn is_too_soon<B>(&self, request: &Request<B>, pause: Duration) -> bool {
        if request.method() != Method::PUT {
            return false;
        }
        let mut times = self.0.lock().unwrap();
        let (path, now) = (request.uri().path().to_owned(), Instant::now());
        let soon = times.get(&path).is_some_and(|last| now - *last < pause);
        if !soon {
            times.insert(path, now);
        }
        soon
    }
}

/// What the stores of others do otherwise than S3.
impl Faults {
    /// One write of an object a second.
    pub(crate) fn like_r2(&self) {
        let pause = Duration::from_secs(1);
        self.always(Kind::Put, Action::OneWritePer(pause, WriteTimes::default()));
        self.always(Which::any(), Action::Without("x-amz-request-id"));
    }

    /// Conditions of reads are not implemented, two writers at once get a code of its own.
    pub(crate) fn like_ceph(&self) {
        self.once(Kind::Put, Action::status(409, "ConcurrentModification"));
        let refused = Action::RefuseHeader("if-match", StatusCode::NOT_IMPLEMENTED, "NotImplemented");
        self.always(Kind::Get, refused);
    }

    /// A server that has just started says so, and its gateway says nothing more.
    pub(crate) fn like_minio_at_its_start(&self, requests: u64) {
        let text = Action::status(503, "XMinioServerNotInitialized");
        self.times(Which::any(), requests, text);
    }

    /// Neither tags, nor ranges, nor conditions.
    pub(crate) fn like_a_file_server(&self) {
        let reads = vec![Action::Quirk(Quirk::IgnoreRange), Action::Without("etag")];
        self.always([Kind::Get, Kind::Head], Action::All(reads));
        let writes = vec![
            Action::Quirk(Quirk::IgnoreWriteConditions),
            Action::Without("etag"),
        ];
        self.always(Kind::Put, Action::All(writes));
    }
}

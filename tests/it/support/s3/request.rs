//! What was asked of the server, and the book about it.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, Uri};
use percent_encoding::percent_decode_str;

/// The operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Get,
    Head,
    Put,
    Delete,
    DeleteMany,
    List,
    /// CreateMultipartUpload.
    Create,
    UploadPart,
    Complete,
    Abort,
    ListParts,
    ListUploads,
    HeadBucket,
    Other,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    /// Empty when the whole bucket is meant.
    pub(crate) object: String,
    /// The header, as in `bytes=0-9`.
    pub(crate) range: Option<String>,
    /// The number of a part of an upload.
    pub(crate) part: Option<u32>,
}

impl Asked {
    /// Whether it only looks at what the store is, of which tests need not know.
    pub(super) fn is_probe(&self) -> bool {
        self.object.contains("v1/probe")
    }

    pub(super) fn new<B>(request: &Request<B>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        let object = path.split_once('/').map_or("", |(_bucket, object)| object);
        let range = request.headers().get(http::header::RANGE);
        Self {
            kind: kind(request.method(), request.uri(), object),
            object: percent_decode_str(object).decode_utf8_lossy().into_owned(),
            range: range.map(|range| String::from_utf8_lossy(range.as_bytes()).into_owned()),
            part: part(request.uri()),
        }
    }
}

fn part(uri: &Uri) -> Option<u32> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, number) = pairs.find(|(name, _)| *name == "partNumber")?;
    number.parse().ok()
}

fn kind(method: &Method, uri: &Uri, object: &str) -> Kind {
    let query = uri.query().unwrap_or_default();
    let names: Vec<&str> = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap())
        .collect();
    let has = |name| names.contains(&name);
    match (method.as_str(), object.is_empty()) {
        ("GET", false) if has("uploadId") => Kind::ListParts,
        ("GET", false) => Kind::Get,
        ("HEAD", false) => Kind::Head,
        ("PUT", false) if has("uploadId") => Kind::UploadPart,
        ("PUT", false) => Kind::Put,
        ("POST", false) if has("uploads") => Kind::Create,
        ("POST", false) if has("uploadId") => Kind::Complete,
        ("DELETE", false) if has("uploadId") => Kind::Abort,
        ("DELETE", false) => Kind::Delete,
        ("GET", true) if has("uploads") => Kind::ListUploads,
        ("GET", true) if has("list-type") => Kind::List,
        ("POST", true) if has("delete") => Kind::DeleteMany,
        ("HEAD", true) => Kind::HeadBucket,
        _ => Kind::Other,
    }
}

/// Everything that was asked so far; a clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Book(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) log: Vec<Asked>,
    /// Of the same requests.
    pub(super) headers: Vec<HeaderMap>,
    /// Requests that only look at what the store is.
    pub(super) probes: usize,
    pub(super) in_flight: usize,
    pub(super) most_in_flight: usize,
    pub(super) response_bytes: u64,
    pub(super) connections: usize,
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    book: Book,
    is_probe: bool,
}

impl Book {
    pub(super) fn read<T>(&self, look: impl FnOnce(&Pages) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    pub(super) fn connected(&self) {
        self.0.lock().unwrap().connections += 1;
    }

    pub(super) fn begin(&self, asked: Asked, headers: &HeaderMap) -> Running {
        let mut pages = self.0.lock().unwrap();
        let is_probe = asked.is_probe();
        if is_probe {
            pages.probes += 1;
        } else {
            pages.log.push(asked);
            pages.headers.push(headers.clone());
        }
        pages.in_flight += 1;
        pages.most_in_flight = pages.most_in_flight.max(pages.in_flight);
        let book = self.clone();
        Running { book, is_probe }
    }

    /// Begins anew; what is under way still counts as that.
    pub(super) fn forget(&self) {
        let mut pages = self.0.lock().unwrap();
        let in_flight = pages.in_flight;
        *pages = Pages {
            in_flight,
            most_in_flight: in_flight,
            ..Pages::default()
        };
    }
}

impl Running {
    pub(super) fn sent(&self, bytes: usize) {
        if !self.is_probe {
            self.book.0.lock().unwrap().response_bytes += bytes as u64;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.book.0.lock().unwrap().in_flight -= 1;
    }
}

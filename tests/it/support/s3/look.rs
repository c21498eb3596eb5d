//! What a test sees of the server: its objects, and what was asked of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;

use super::memory::{Bucket, Object};
use super::{Asked, Kind, S3Server};

/// An object of [`S3Server::objects`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) size: u64,
    /// Without `x-amz-meta-`.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Without quotes.
    pub(crate) etag: String,
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) object: String,
    pub(crate) id: String,
    pub(crate) parts: usize,
}

/// Objects, past HTTP, counters and faults. Only with [`S3Server::memory`].
impl S3Server {
    fn in_bucket<T>(&self, work: impl FnOnce(&mut Bucket) -> T) -> T {
        let memory = self.memory.as_ref();
        let memory = memory.expect("only a server in memory lets tests look at its objects");
        let name = self.bucket.lock().unwrap().clone();
        work(memory.lock().bucket(&name).unwrap())
    }

    /// All but those that tell what the store can do, and what time it is there.
    pub(crate) fn objects(&self) -> BTreeMap<String, Listed> {
        let list = |object: &Object| Listed {
            size: object.bytes.len() as u64,
            metadata: object.metadata.clone().into_iter().collect(),
            etag: object.etag.value().to_owned(),
        };
        self.in_bucket(|bucket| {
            let objects = bucket.objects.iter();
            objects
                .filter(|(name, _)| !name.ends_with("v1/probe") && !name.contains("v1/server-clocks/"))
                .map(|(name, object)| (name.clone(), list(object)))
                .collect()
        })
    }

    /// The bytes of an object.
    pub(crate) fn object(&self, name: &str) -> Option<Bytes> {
        self.in_bucket(|bucket| Some(bucket.objects.get(name)?.bytes.clone()))
    }

    pub(crate) fn uploads(&self) -> Vec<Unfinished> {
        self.in_bucket(|bucket| {
            let uploads = bucket.uploads.iter();
            let list = uploads.map(|((object, id), upload)| Unfinished {
                object: object.clone(),
                id: id.clone(),
                parts: upload.parts.len(),
            });
            list.collect()
        })
    }

    /// Makes all uploads look as if they had begun long ago.
    pub(crate) fn age_uploads(&self) {
        self.in_bucket(|bucket| {
            for upload in bucket.uploads.values_mut() {
                upload.begun = std::time::UNIX_EPOCH;
            }
        });
    }

    /// From now on uploads take parts of any length, as those of some stores do.
    pub(crate) fn take_short_parts(&self) {
        let memory = self.memory.as_ref();
        memory
            .expect("only a server in memory can be told")
            .lock()
            .short_parts = true;
    }

    /// Puts an object there, whatever it is.
    pub(crate) fn put_raw(&self, name: &str, bytes: impl Into<Bytes>, metadata: &[(&str, &str)]) {
        let metadata = metadata.iter();
        let metadata = metadata.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let object = Object::new(bytes.into(), metadata.collect());
        self.in_bucket(|bucket| bucket.objects.insert(name.to_owned(), object));
    }

    /// `true` if it was there.
    pub(crate) fn remove(&self, name: &str) -> bool {
        self.in_bucket(|bucket| bucket.objects.remove(name).is_some())
    }
}

/// What was asked, refused requests included; since the start or the last [`S3Server::forget`].
impl S3Server {
    /// All requests in the order in which they came.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.front.book.read(|pages| pages.log.clone())
    }

    /// How many requests looked only at what the store is; nothing else counts them.
    pub(crate) fn probes(&self) -> usize {
        self.front.book.read(|pages| pages.probes)
    }

    /// The headers of all requests of a kind.
    pub(crate) fn headers(&self, kind: Kind) -> Vec<HeaderMap> {
        self.front.book.read(|pages| {
            let all = pages.log.iter().zip(&pages.headers);
            let fitting = all.filter(|(asked, _)| asked.kind == kind);
            fitting.map(|(_, headers)| headers.clone()).collect()
        })
    }

    /// How many requests of a kind came.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.log().iter().filter(|asked| asked.kind == kind).count()
    }

    /// How many requests of a kind came for one object.
    pub(crate) fn count_of(&self, kind: Kind, object: &str) -> usize {
        let fits = |asked: &&Asked| asked.kind == kind && asked.object == object;
        self.log().iter().filter(fits).count()
    }

    /// Requests whose answers have not left whole.
    pub(crate) fn in_flight(&self) -> usize {
        self.front.book.read(|pages| pages.in_flight)
    }

    /// The most of them at once.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.front.book.read(|pages| pages.most_in_flight)
    }

    /// Bytes of the bodies of all answers.
    pub(crate) fn response_bytes(&self) -> u64 {
        self.front.book.read(|pages| pages.response_bytes)
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> usize {
        self.front.book.read(|pages| pages.connections)
    }

    /// Sets log and counters back.
    pub(crate) fn forget(&self) {
        self.front.book.forget();
    }
}

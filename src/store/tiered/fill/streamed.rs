//! A body that goes from the far tier to one reader, past the disk.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::store::remote::{Remote, RemoteEntry, RemoteStream};
use crate::store::{Content, Error, RemoteRange, RemoteSource, StoreKey};

/// How often a broken stream is opened anew without a byte having arrived in between.
const ATTEMPTS: u32 = 3;

#[derive(Debug)]
struct Source {
    far: Arc<dyn Remote>,
    key: StoreKey,
    entry: RemoteEntry,
}

/// The body of this version of an entry.
pub(super) fn content(far: Arc<dyn Remote>, key: StoreKey, entry: RemoteEntry) -> Content {
    let size = entry.meta.size;
    let source = Source { far, key, entry };
    Content::Remote(RemoteRange::new(Arc::new(source), 0..size))
}

/// Where one reader is.
struct Reader {
    source: Arc<Source>,
    rest: Range<u64>,
    stream: Option<RemoteStream>,
    failures: u32,
}

impl RemoteSource for Source {
    fn open(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let source = Self {
            far: Arc::clone(&self.far),
            key: self.key.clone(),
            entry: self.entry.clone(),
        };
        let reader = Reader {
            source: Arc::new(source),
            rest: range,
            stream: None,
            failures: 0,
        };
        stream::try_unfold(reader, |mut reader| async move {
            let bytes = reader.next().await.map_err(io::Error::other)?;
            Ok(bytes.map(|bytes| (bytes, reader)))
        })
        .boxed()
    }
}

impl Reader {
    /// The next bytes; a stream that breaks is opened anew where it stopped.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.rest.is_empty() {
            match self.step().await {
                Ok(Some(bytes)) => {
                    self.rest.start += bytes.len() as u64;
                    self.failures = 0;
                    return Ok(Some(bytes));
                }
                Ok(None) => self.stream = None,
                Err(error) => {
                    self.stream = None;
                    self.failures += 1;
                    if self.failures >= ATTEMPTS {
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    async fn step(&mut self) -> Result<Option<Bytes>, Error> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let Source { far, key, entry } = &*self.source;
                self.stream.insert(far.read(key, entry, self.rest.clone()).await?)
            }
        };
        stream.next().await.transpose()
    }
}

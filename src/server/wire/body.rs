//! The body of every response, and its chunks as hyper holds them.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use bytes::Buf;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::send_queue::{FileToken, PendingFile, PendingRequest, SendQueue};
use crate::server::connections::RunningRequest;
use crate::store::FileRange;

/// A response body that counts what leaves and closes the record of its request when it is dropped.
///
/// hyper drops a body as soon as it has the last chunk. With HTTP/1 that is no matter for a body of a single chunk,
/// which is short and leaves at once; but a file has only begun to leave, so its record goes with it to the send queue.
/// A chunk of a longer body may wait inside of hyper for the client, with HTTP/2 any chunk, so it keeps its request
/// under way.
#[derive(Debug)]
pub struct WireBody(BodySource);

#[derive(Debug)]
enum BodySource {
    /// What the router made, and whether a chunk may still be all of it and leaves at once.
    Routed(Body, Box<PendingRequest>, bool),
    /// A file, not yet handed to the stream.
    File(FileRange, SendQueue, Box<PendingRequest>),
    /// A file that the stream sends now.
    Sent,
}

impl WireBody {
    /// A body that hyper writes.
    pub fn routed(body: Body, request: Box<PendingRequest>) -> Self {
        Self(BodySource::Routed(body, request, true))
    }

    /// A body that hyper's HTTP/2 sends when the client has room for it.
    pub fn multiplexed(body: Body, request: Box<PendingRequest>) -> Self {
        Self(BodySource::Routed(body, request, false))
    }

    /// A body that the stream of the connection sends; HTTP/1 only.
    pub fn file(part: FileRange, send_queue: SendQueue, request: Box<PendingRequest>) -> Self {
        Self(BodySource::File(part, send_queue, request))
    }
}

impl HttpBody for WireBody {
    type Data = WireChunk;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<WireChunk>, axum::Error>>> {
        if let BodySource::Routed(body, request, may_be_whole) = &mut self.0 {
            let whole = may_be_whole.then(|| body.size_hint().exact()).flatten();
            return poll_routed(body, request, cx, |data, running| {
                *may_be_whole = false;
                match whole == Some(data.len() as u64) {
                    true => WireChunk::Bytes(data),
                    false => WireChunk::Held(data, running.clone()),
                }
            });
        }
        let BodySource::File(rest, send_queue, request) = std::mem::replace(&mut self.0, BodySource::Sent)
        else {
            return Poll::Ready(None);
        };
        let token = FileToken::new();
        let chunk = FileChunk::new(token.clone(), rest.clone());
        send_queue.push(PendingFile { token, rest, request });
        Poll::Ready(Some(Ok(Frame::data(WireChunk::File(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            BodySource::Routed(body, ..) => body.is_end_stream(),
            BodySource::File(part, ..) => part.is_empty(),
            BodySource::Sent => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            BodySource::Routed(body, ..) => body.size_hint(),
            BodySource::File(part, ..) => SizeHint::with_exact(part.len()),
            BodySource::Sent => SizeHint::with_exact(0),
        }
    }
}

fn poll_routed(
    body: &mut Body,
    request: &mut PendingRequest,
    cx: &mut Context<'_>,
    chunk: impl FnOnce(Bytes, &RunningRequest) -> WireChunk,
) -> Poll<Option<Result<Frame<WireChunk>, axum::Error>>> {
    let frame = ready!(Pin::new(body).poll_frame(cx));
    match &frame {
        Some(Ok(frame)) => request
            .exchange
            .sending(frame.data_ref().map_or(0, |data| data.len() as u64)),
        Some(Err(_)) => request.exchange.failed(),
        None => {}
    }
    let running = &request.running;
    Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| chunk(data, running)))))
}

/// The data of a frame: bytes, or a file that the stream sends itself.
#[derive(Debug)]
pub enum WireChunk {
    /// Ordinary bytes.
    Bytes(Bytes),
    /// Bytes that may wait inside of hyper for the client; the request is under way as long.
    Held(Bytes, RunningRequest),
    /// A file.
    File(FileChunk),
}

/// A file in place of bytes; see the module text of [`super`].
#[derive(Debug)]
pub struct FileChunk {
    token: Arc<FileToken>,
    rest: FileRange,
    /// Bytes at the front of `rest`, read only if something other than [`super::WireStream`] asks.
    copy: OnceLock<Bytes>,
}

impl FileChunk {
    /// How much a reader that does not know the token gets at once.
    const COPY_BYTES: u64 = 64 * 1024;

    fn new(token: Arc<FileToken>, rest: FileRange) -> Self {
        Self {
            token,
            rest,
            copy: OnceLock::new(),
        }
    }

    /// The true bytes.
    ///
    /// # Panics
    /// If the file cannot be read: the task of the connection ends and cuts it, which is the only
    /// honest thing left after the header said how many bytes follow.
    fn copied(&self) -> &[u8] {
        self.copy.get_or_init(|| {
            let mut buffer = vec![0; self.rest.len().min(Self::COPY_BYTES) as usize];
            if let Err(error) = self.rest.read(&mut buffer) {
                panic!("an entry became unreadable while it was sent: {error}");
            }
            buffer.into()
        })
    }
}

impl Buf for WireChunk {
    fn remaining(&self) -> usize {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.remaining(),
            // A file beyond the address space cannot be announced; 64-bit targets only.
            Self::File(file) => usize::try_from(file.rest.len()).unwrap_or(usize::MAX),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.chunk(),
            Self::File(file) if file.rest.is_empty() => &[],
            Self::File(file) => file.copied(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.chunks_vectored(slices),
            Self::File(file) if file.rest.is_empty() || slices.is_empty() => 0,
            Self::File(file) => {
                slices[0] = IoSlice::new(file.token.slice());
                1
            }
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.advance(count),
            Self::File(file) => {
                file.rest.advance(count as u64);
                file.copy = OnceLock::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;
    use crate::server::connections::{ConnectionLimits, Connections};
    use crate::telemetry::access::{AccessLog, Recorder};
    use crate::telemetry::log::Format;
    use crate::telemetry::metrics::Metrics;

    /// Hands all chunks of a body to `hyper`, which drops the body then and may keep the chunks.
    async fn chunks(body: Body) -> (Vec<WireChunk>, impl Fn() -> bool) {
        let (log, _guard) = AccessLog::to(std::io::sink(), Format::Json).expect("a log");
        let recorder = Recorder::new(Arc::new(Metrics::new([])), log);
        let limits = ConnectionLimits {
            keep_alive: Duration::from_secs(1),
            places: 1,
            per_address: 1,
        };
        let activity = Connections::new(limits).activity();
        let exchange = recorder.begin(&http::Method::GET, None);
        let running = activity.begin();
        let mut body = WireBody::routed(body, Box::new(PendingRequest { exchange, running }));
        let mut chunks = Vec::new();
        while let Some(frame) = body.frame().await {
            chunks.push(frame.expect("a frame").into_data().expect("data"));
        }
        (chunks, move || activity.is_busy())
    }

    #[tokio::test]
    async fn a_drain_does_not_cut_the_tail_of_a_stream_that_hyper_still_holds() {
        let pieces = ["one", "two", "three"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let (mut held, is_busy) = chunks(Body::from_stream(stream::iter(pieces))).await;
        assert_eq!(held.len(), 3);
        drop(held.drain(..2));
        assert!(is_busy(), "the last chunk has not left");
        drop(held);
        assert!(!is_busy());
    }

    #[tokio::test]
    async fn a_body_of_one_chunk_costs_no_count() {
        let (held, is_busy) = chunks(Body::from("short")).await;
        assert!(matches!(&held[..], [WireChunk::Bytes(_)]));
        assert!(!is_busy());
    }
}

//! The body of every response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::chunk::{FileChunk, WireChunk};
use super::outbox::{Outbox, Parcel, Record, Token};
use crate::server::connections::RunningRequest;
use crate::store::FileRange;
use crate::telemetry::access::Exchange;

/// A response body that counts what leaves and closes the record of its request when it is dropped.
///
/// hyper drops a body as soon as it has the last chunk. With HTTP/1 that is no matter for a body of a single chunk,
/// which is short and leaves at once; but a file has only begun to leave, so its record goes with it to the outbox.
/// A chunk of a longer body may wait inside of hyper for the client, with HTTP/2 any chunk, so it keeps its request
/// under way.
#[derive(Debug)]
pub struct WireBody(Source);

#[derive(Debug)]
enum Source {
    /// What the router made, and whether hyper has a chunk of it already.
    Routed(Body, Record, bool),
    /// The same on a connection with HTTP/2.
    Multiplexed(Body, Record),
    /// A file, not yet handed to the stream.
    File(FileRange, Outbox, Record),
    /// A file that the stream sends now.
    Sent,
}

impl WireBody {
    /// A body that hyper writes.
    pub fn routed(body: Body, exchange: Exchange, running: RunningRequest) -> Self {
        Self(Source::Routed(body, Record::new(exchange, running), false))
    }

    /// A body that hyper's HTTP/2 sends when the client has room for it.
    pub fn multiplexed(body: Body, exchange: Exchange, running: RunningRequest) -> Self {
        Self(Source::Multiplexed(body, Record::new(exchange, running)))
    }

    /// A body that the stream of the connection sends; HTTP/1 only.
    pub fn file(part: FileRange, outbox: Outbox, exchange: Exchange, running: RunningRequest) -> Self {
        Self(Source::File(part, outbox, Record::new(exchange, running)))
    }
}

impl HttpBody for WireBody {
    type Data = WireChunk;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<WireChunk>, axum::Error>>> {
        match &mut self.0 {
            Source::Routed(body, record, begun) => {
                let whole = body.size_hint().exact().filter(|_| !*begun);
                return poll_routed(body, record, cx, |data, running| {
                    *begun = true;
                    match whole == Some(data.len() as u64) {
                        true => WireChunk::Bytes(data),
                        false => WireChunk::Held(data, running.clone()),
                    }
                });
            }
            Source::Multiplexed(body, record) => {
                return poll_routed(body, record, cx, |data, running| {
                    WireChunk::Held(data, running.clone())
                });
            }
            Source::File(..) | Source::Sent => {}
        }
        let Source::File(rest, outbox, record) = std::mem::replace(&mut self.0, Source::Sent) else {
            return Poll::Ready(None);
        };
        let token = Token::new();
        let chunk = FileChunk::new(token.clone(), rest.clone());
        outbox.push(Parcel { token, rest, record });
        Poll::Ready(Some(Ok(Frame::data(WireChunk::File(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Routed(body, ..) | Source::Multiplexed(body, _) => body.is_end_stream(),
            Source::File(part, ..) => part.is_empty(),
            Source::Sent => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Routed(body, ..) | Source::Multiplexed(body, _) => body.size_hint(),
            Source::File(part, ..) => SizeHint::with_exact(part.len()),
            Source::Sent => SizeHint::with_exact(0),
        }
    }
}

fn poll_routed(
    body: &mut Body,
    record: &mut Record,
    cx: &mut Context<'_>,
    chunk: impl FnOnce(Bytes, &RunningRequest) -> WireChunk,
) -> Poll<Option<Result<Frame<WireChunk>, axum::Error>>> {
    let frame = ready!(Pin::new(body).poll_frame(cx));
    match &frame {
        Some(Ok(frame)) => record
            .exchange
            .sending(frame.data_ref().map_or(0, |data| data.len() as u64)),
        Some(Err(_)) => record.exchange.failed(),
        None => {}
    }
    let running = &record.running;
    Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| chunk(data, running)))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;
    use crate::server::connections::Connections;
    use crate::telemetry::access::{AccessLog, Recorder};
    use crate::telemetry::log::Format;
    use crate::telemetry::metrics::Metrics;

    /// Hands all chunks of a body to `hyper`, which drops the body then and may keep the chunks.
    async fn chunks(body: Body) -> (Vec<WireChunk>, impl Fn() -> bool) {
        let (log, _guard) = AccessLog::to(std::io::sink(), Format::Json).expect("a log");
        let recorder = Recorder::new(Arc::new(Metrics::new([])), log);
        let activity = Connections::new(Duration::from_secs(1)).activity();
        let exchange = recorder.begin(&http::Method::GET);
        let mut body = WireBody::routed(body, exchange, activity.begin());
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

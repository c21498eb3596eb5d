//! The body of every response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::chunk::{FileChunk, WireChunk};
use super::outbox::{Outbox, Parcel, Record, Token};
use crate::server::connections::Running;
use crate::store::FileRange;
use crate::telemetry::access::Exchange;

/// A response body that counts what leaves and closes the record of its request when it is dropped.
///
/// hyper drops a body as soon as it has the last chunk. With HTTP/1 that is no matter for bytes, which are
/// few and leave at once; but a file has only begun to leave, so its record goes with it to the outbox.
/// With HTTP/2 a chunk may wait for the client, so it keeps its request under way.
#[derive(Debug)]
pub struct WireBody(Source);

#[derive(Debug)]
enum Source {
    /// What the router made.
    Routed(Body, Record),
    /// The same on a connection with HTTP/2.
    Multiplexed(Body, Record),
    /// A file, not yet handed to the stream.
    File(FileRange, Outbox, Record),
    /// A file that the stream sends now.
    Sent,
}

impl WireBody {
    /// A body that hyper writes.
    pub fn routed(body: Body, exchange: Exchange, running: Running) -> Self {
        Self(Source::Routed(body, Record::new(exchange, running)))
    }

    /// A body that hyper's HTTP/2 sends when the client has room for it.
    pub fn multiplexed(body: Body, exchange: Exchange, running: Running) -> Self {
        Self(Source::Multiplexed(body, Record::new(exchange, running)))
    }

    /// A body that the stream of the connection sends; HTTP/1 only.
    pub fn file(part: FileRange, outbox: Outbox, exchange: Exchange, running: Running) -> Self {
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
            Source::Routed(body, record) => {
                return poll_routed(body, record, cx, |data, _| WireChunk::Bytes(data));
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
            Source::Routed(body, _) | Source::Multiplexed(body, _) => body.is_end_stream(),
            Source::File(part, ..) => part.is_empty(),
            Source::Sent => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Routed(body, _) | Source::Multiplexed(body, _) => body.size_hint(),
            Source::File(part, ..) => SizeHint::with_exact(part.len()),
            Source::Sent => SizeHint::with_exact(0),
        }
    }
}

fn poll_routed(
    body: &mut Body,
    record: &mut Record,
    cx: &mut Context<'_>,
    chunk: fn(Bytes, &Running) -> WireChunk,
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

//! The body of every response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::chunk::{FileChunk, WireChunk};
use super::outbox::{Outbox, Token};
use crate::server::connections::Running;
use crate::store::FileRange;
use crate::telemetry::access::Exchange;

/// A response body that counts what leaves and closes the record of its request when it is dropped.
#[derive(Debug)]
pub struct WireBody {
    source: Source,
    exchange: Exchange,
    /// Ends with the body: the request is under way until then.
    _running: Running,
}

#[derive(Debug)]
enum Source {
    /// What the router made.
    Routed(Body),
    /// A file, not yet handed to the stream.
    File(FileRange, Outbox),
    /// A file that the stream sends now.
    Sent,
}

impl WireBody {
    /// A body that hyper writes.
    pub fn routed(body: Body, exchange: Exchange, running: Running) -> Self {
        Self {
            source: Source::Routed(body),
            exchange,
            _running: running,
        }
    }

    /// A body that the stream of the connection sends; HTTP/1 only.
    pub fn file(part: FileRange, outbox: Outbox, exchange: Exchange, running: Running) -> Self {
        Self {
            source: Source::File(part, outbox),
            exchange,
            _running: running,
        }
    }
}

impl HttpBody for WireBody {
    type Data = WireChunk;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<WireChunk>, axum::Error>>> {
        let this = &mut *self;
        match std::mem::replace(&mut this.source, Source::Sent) {
            Source::Sent => Poll::Ready(None),
            Source::File(part, outbox) => {
                let token = Token::new();
                this.exchange.sending(part.len());
                outbox.push(token.clone(), part.clone());
                Poll::Ready(Some(Ok(Frame::data(WireChunk::File(FileChunk::new(
                    token, part,
                ))))))
            }
            Source::Routed(mut body) => {
                let frame = Pin::new(&mut body).poll_frame(cx);
                this.source = Source::Routed(body);
                let frame = ready!(frame);
                match &frame {
                    Some(Ok(frame)) => this
                        .exchange
                        .sending(frame.data_ref().map_or(0, |data| data.len() as u64)),
                    Some(Err(_)) => this.exchange.failed(),
                    None => {}
                }
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(WireChunk::Bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Routed(body) => body.is_end_stream(),
            Source::File(part, _) => part.is_empty(),
            Source::Sent => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Routed(body) => body.size_hint(),
            Source::File(part, _) => SizeHint::with_exact(part.len()),
            Source::Sent => SizeHint::with_exact(0),
        }
    }
}

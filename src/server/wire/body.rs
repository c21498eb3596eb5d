//! The body of every response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::chunk::{FileChunk, WireChunk};
use super::outbox::{Outbox, Parcel, Token, Underway};
use crate::store::FileRange;

/// A response body that counts what leaves and closes the record of its request when it is dropped.
///
/// The record of a file goes with it to the stream: hyper drops a body as soon as it has taken its last
/// chunk, long before a large file has left.
#[derive(Debug)]
pub struct WireBody(Source);

#[derive(Debug)]
enum Source {
    /// What the router made.
    Routed(Body, Underway),
    /// A file, not yet handed to the stream.
    File(FileRange, Outbox, Underway),
    /// Nothing more: the stream sends the file, or all is said.
    Done,
}

impl WireBody {
    /// A body that hyper writes.
    pub fn routed(body: Body, underway: Underway) -> Self {
        Self(Source::Routed(body, underway))
    }

    /// A body that the stream of the connection sends; HTTP/1 only.
    pub fn file(part: FileRange, outbox: Outbox, underway: Underway) -> Self {
        Self(Source::File(part, outbox, underway))
    }
}

impl HttpBody for WireBody {
    type Data = WireChunk;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<WireChunk>, axum::Error>>> {
        if let Source::Routed(body, underway) = &mut self.0 {
            let frame = ready!(Pin::new(body).poll_frame(cx));
            match &frame {
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                    underway.exchange.sending(length);
                }
                Some(Err(_)) => underway.exchange.failed(),
                None => {}
            }
            return Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(WireChunk::Bytes))));
        }
        let Source::File(part, outbox, underway) = std::mem::replace(&mut self.0, Source::Done) else {
            return Poll::Ready(None);
        };
        let token = Token::new();
        let chunk = FileChunk::new(Arc::clone(&token), part.clone());
        outbox.push(Parcel {
            token,
            rest: part,
            underway,
        });
        Poll::Ready(Some(Ok(Frame::data(WireChunk::File(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Routed(body, _) => body.is_end_stream(),
            Source::File(part, _, _) => part.is_empty(),
            Source::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Routed(body, _) => body.size_hint(),
            Source::File(part, _, _) => SizeHint::with_exact(part.len()),
            Source::Done => SizeHint::with_exact(0),
        }
    }
}

//! From the bytes of an entry to a response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use super::headers;
use crate::protocol::call::Reply;
use crate::store::{Content, ETag, Pieces, TierName};
use crate::telemetry::access::RequestRecord;

/// An answer with bytes of the entry with this tag.
pub(super) fn respond(
    status: StatusCode,
    etag: &ETag,
    content: Content,
    tier: TierName,
    record: &mut RequestRecord,
) -> Reply {
    record.tier = tier.as_str();
    let mut reply = match content {
        Content::Memory(bytes) => Reply::new(status, bytes),
        Content::File(part) => {
            let reply = Reply::new(status, Body::empty());
            Reply {
                file: Some(part),
                ..reply
            }
        }
        streamed => Reply::new(status, Body::new(SizedBody::new(streamed))),
    };
    *reply.headers_mut() = headers::read(etag);
    reply
}

/// A body that is read as it is sent, and that knows its length.
struct SizedBody {
    pieces: Pieces,
    left: u64,
}

impl SizedBody {
    fn new(content: Content) -> Self {
        Self {
            left: content.len(),
            pieces: content.pieces(),
        }
    }
}

impl http_body::Body for SizedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(Pin::new(&mut self.pieces).poll_next(cx));
        if let Some(Ok(bytes)) = &piece {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

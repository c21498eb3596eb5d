//! The body of a request, read from where the bytes are as often as the SDK has to send it.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};

use crate::store::Content;
use crate::store::content::Pieces;

/// The bytes of an object: a body, and perhaps a trailer. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ObjectBody {
    body: Content,
    tail: Bytes,
}

impl ObjectBody {
    pub(super) fn new(body: Content, tail: Bytes) -> Self {
        Self { body, tail }
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.body.len() + self.tail.len() as u64
    }

    /// A part of the object as the body of a request that can be sent again.
    pub(super) fn request(&self, range: Range<u64>) -> ByteStream {
        let parts = self.parts(range);
        if let [Content::Memory(bytes)] = parts.as_slice() {
            return SdkBody::from(bytes.clone()).into();
        }
        let body = SdkBody::retryable(move || SdkBody::from_body_1_x(RequestBody::new(parts.clone())));
        ByteStream::new(body)
    }

    fn parts(&self, range: Range<u64>) -> Vec<Content> {
        let middle = self.body.len();
        let tail = Content::Memory(self.tail.clone());
        let first = self.body.slice(range.clone());
        let second = tail.slice(range.start.saturating_sub(middle)..range.end.saturating_sub(middle));
        match (first.is_empty(), second.is_empty()) {
            (_, true) => vec![first],
            (true, false) => vec![second],
            (false, false) => vec![first, second],
        }
    }
}

/// See [`ObjectBody::request`].
struct RequestBody {
    waiting: VecDeque<Content>,
    /// Only ever reached through `&mut`; the lock makes it shareable, which the SDK demands.
    pieces: Option<Mutex<Pieces>>,
    left: u64,
}

impl RequestBody {
    fn new(parts: Vec<Content>) -> Self {
        Self {
            left: parts.iter().map(Content::len).sum(),
            waiting: parts.into(),
            pieces: None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        loop {
            let Some(pieces) = &mut this.pieces else {
                let Some(next) = this.waiting.pop_front() else {
                    return Poll::Ready(None);
                };
                this.pieces = Some(Mutex::new(next.pieces()));
                continue;
            };
            let pieces = pieces.get_mut().map_err(|_| io::Error::other("poisoned"))?;
            match ready!(Pin::new(pieces).poll_next(cx)) {
                Some(Ok(piece)) => {
                    this.left = this.left.saturating_sub(piece.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.pieces = None,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_part_of_body_and_trailer_can_be_sent_again() {
        let source = ObjectBody::new(
            Content::Memory(Bytes::from_static(b"0123456789")),
            Bytes::from_static(b"abcde"),
        );
        let whole = b"0123456789abcde";
        for start in 0..15 {
            for end in start + 1..=15 {
                let body = source.request(start..end).into_inner();
                let again = body.try_clone().expect("can be sent again");
                for body in [body, again] {
                    assert_eq!(body.content_length(), Some(end - start));
                    let bytes = ByteStream::new(body).collect().await.expect("bytes").into_bytes();
                    assert_eq!(bytes, &whole[start as usize..end as usize]);
                }
            }
        }
        let empty = ObjectBody::new(Content::Memory(Bytes::new()), Bytes::new());
        assert_eq!(empty.request(0..0).into_inner().content_length(), Some(0));
    }
}

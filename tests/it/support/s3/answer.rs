//! The body of an answer: counted, and with a fault if one was asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::faults::Gate;
use super::line::Line;
use super::request::Running;

/// How a body leaves.
#[derive(Default)]
pub(super) struct Flow {
    pub(super) end: End,
    /// Bytes a second.
    pub(super) rate: Option<u64>,
    /// Where it waits.
    pub(super) pause: Option<(u64, Gate)>,
}

/// How a body ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Whole,
    /// As if this were all; hyper does not learn the length.
    Clean(u64),
    Reset(u64),
    Cut(u64),
    Stall(u64),
}

pub(super) struct Answer {
    inner: s3s::Body,
    running: Running,
    line: Arc<Line>,
    end: End,
    rate: Option<Rate>,
    pause: Option<Pause>,
    /// Came from `inner`, but may not leave yet.
    rest: Bytes,
    sent: u64,
}

/// What is after so many bytes waits for this.
struct Pause(u64, BoxFuture<'static, ()>);

/// When the next piece may leave, for so many bytes a second.
struct Rate {
    bytes: u64,
    due: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Rate {
    fn new(bytes: u64) -> Self {
        let due = Instant::now();
        let sleep = Box::pin(tokio::time::sleep_until(due));
        Self { bytes, due, sleep }
    }

    /// As much as leaves at once: the share of 5 ms.
    fn piece(&self) -> u64 {
        (self.bytes / 200).max(1)
    }

    fn count(&mut self, bytes: usize) {
        // From when it was due, not from now: late pieces do not make the whole late.
        self.due += Duration::from_secs_f64(bytes as f64 / self.bytes as f64);
        self.sleep.as_mut().reset(self.due);
    }
}

impl Answer {
    pub(super) fn new(inner: s3s::Body, running: Running, line: Arc<Line>, flow: Flow) -> Self {
        let pause = |(bytes, gate): (u64, Gate)| Pause(bytes, async move { gate.pass().await }.boxed());
        Self {
            inner,
            running,
            line,
            end: flow.end,
            rate: flow.rate.map(Rate::new),
            pause: flow.pause.map(pause),
            rest: Bytes::new(),
            sent: 0,
        }
    }

    /// How many bytes may leave now.
    fn room(&self) -> u64 {
        let left = match self.end {
            End::Whole => u64::MAX,
            End::Clean(bytes) | End::Reset(bytes) | End::Cut(bytes) | End::Stall(bytes) => {
                bytes.saturating_sub(self.sent)
            }
        };
        let pause = self.pause.as_ref().map_or(u64::MAX, |pause| pause.0 - self.sent);
        left.min(pause)
            .min(self.rate.as_ref().map_or(u64::MAX, Rate::piece))
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(), s3s::StdError>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(())))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(rate) = &mut this.rate {
            ready!(rate.sleep.as_mut().poll(context));
        }
        if let Some(Pause(bytes, gate)) = &mut this.pause
            && *bytes == this.sent
        {
            ready!(gate.poll_unpin(context));
            this.pause = None;
        }
        let room = this.room();
        if room == 0 {
            match this.end {
                End::Reset(_) => this.line.cut(true),
                End::Cut(_) => this.line.cut(false),
                End::Stall(_) => {}
                End::Whole | End::Clean(_) => return Poll::Ready(None),
            }
            return Poll::Pending;
        }
        match ready!(this.poll_rest(context)) {
            Some(Ok(())) => {}
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let piece = this.rest.split_to(room.min(this.rest.len()));
        this.sent += piece.len() as u64;
        this.running.sent(piece.len());
        if let Some(rate) = &mut this.rate {
            rate.count(piece.len());
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.end == End::Whole && self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match (self.end, &self.rate) {
            (End::Whole, None) if self.sent == 0 => self.inner.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

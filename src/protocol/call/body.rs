//! The body of a request, piece by piece.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::Call;
use crate::error::Class;
use crate::protocol::app::App;
use crate::protocol::framing;
use crate::protocol::http_error::HttpError;
use crate::store::memory::CountedBytes;
use crate::tasks::Tasks;
use crate::telemetry::access::{EarlyRecord, RequestRecord};

/// Bytes of a refused body that are read and dropped, so that the client gets to read the answer.
pub const MAX_DISCARDED_BYTES: u64 = 16 * 1024 * 1024;

/// A body that says what to do has to be there within this time: it is in one piece in memory, and often its sender
/// is not known yet.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// A longer one has as much time again for each of so many bytes.
const SMALL_BODY_BYTES: u64 = 1024 * 1024;

/// How long a refused body is read and dropped.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a request, as far as it was not read.
#[derive(Debug)]
pub struct RequestBody {
    body: Body,
    progress: Progress,
    received: u64,
    early: Option<Arc<EarlyRecord>>,
}

/// How far a body was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Not at all. The client may wait for `100 Continue` before it sends anything.
    Untouched,
    /// Something was asked for, so the client is sending.
    Begun,
    /// To its end, or until it broke.
    Ended,
}

impl RequestBody {
    pub(super) fn new(body: Body, early: Option<Arc<EarlyRecord>>) -> Self {
        let progress = match body.is_end_stream() {
            true => Progress::Ended,
            false => Progress::Untouched,
        };
        Self {
            body,
            progress,
            received: 0,
            early,
        }
    }

    /// The length that the client announced.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Whether there is nothing to read.
    pub fn is_ended(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// How many bytes were read.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the body away, to pass it on while it arrives. Its bytes then no longer count in the record of
    /// this call.
    pub fn take(&mut self) -> Self {
        let early = self.early.clone();
        std::mem::replace(self, Self::new(Body::empty(), early))
    }

    /// The next bytes; `None` at the proper end of the body.
    ///
    /// # Errors
    /// The client paused for too long, or left.
    pub async fn next(&mut self, app: &App) -> Result<Option<Bytes>, HttpError> {
        if self.is_ended() {
            return Ok(None);
        }
        self.progress = Progress::Begun;
        loop {
            let frame = tokio::time::timeout(app.limits().body_idle_timeout, self.body.frame()).await;
            let frame =
                frame.map_err(|_| HttpError::new(Class::Timeout, "the body did not arrive in time"))?;
            let Some(Ok(frame)) = frame else {
                self.progress = Progress::Ended;
                return match frame {
                    None => Ok(None),
                    Some(_) => Err(framing::truncated()),
                };
            };
            if let Ok(data) = frame.into_data() {
                self.count(data.len() as u64);
                return Ok(Some(data));
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.received += bytes;
        if let Some(early) = &self.early {
            early.count(bytes);
        }
    }

    pub(super) fn note_early(&self, record: &RequestRecord) {
        if let Some(early) = &self.early {
            early.keep(record);
        }
    }

    /// Reads and drops what the client still sends. The body of a client that waits for `100 Continue` is not
    /// touched: it has sent nothing.
    pub(super) fn discard(self, app: &App, headers: &HeaderMap) {
        match self.progress {
            Progress::Ended => {}
            Progress::Untouched if expects_continue(headers) => {}
            Progress::Untouched | Progress::Begun => discard(app.tasks(), self.body),
        }
    }
}

impl Call {
    /// The whole of a body that says what to do, of at most `max` bytes. Refused before it is touched if it
    /// announces more. It counts as memory of this caller as long as it is there.
    ///
    /// # Errors
    /// As [`RequestBody::next`], and if the body is too long, framed in a way that is not undone here, or more than
    /// there is memory for.
    pub async fn small_body(&mut self, max: usize) -> Result<Bytes, HttpError> {
        Ok(self.counted_body(max).await?.into_bytes())
    }

    /// The same, for one who takes the place of the body by something else.
    ///
    /// # Errors
    /// As [`Call::small_body`].
    pub async fn counted_body(&mut self, max: usize) -> Result<CountedBytes, HttpError> {
        framing::check(&self.parts.headers)?;
        if self.body.length().is_some_and(|length| length > max as u64) {
            return Err(too_long(max));
        }
        let length = self.body.length().unwrap_or(max as u64);
        let times = 1 + u32::try_from(length / SMALL_BODY_BYTES).unwrap_or(u32::MAX);
        let whole = tokio::time::timeout(SMALL_BODY_TIMEOUT.saturating_mul(times), self.whole_body(max));
        let late = |_| HttpError::new(Class::Timeout, "the body did not arrive in time");
        let whole = whole.await.map_err(late)??;
        self.check_stated(whole.as_ref())?;
        Ok(whole)
    }

    async fn whole_body(&mut self, max: usize) -> Result<CountedBytes, HttpError> {
        let mut whole = CountedBytes::new(self.memory());
        while let Some(data) = self.body.next(&self.app).await? {
            if whole.len() + data.len() > max {
                return Err(too_long(max));
            }
            whole.extend(&data)?;
        }
        Ok(whole)
    }
}

fn too_long(max: usize) -> HttpError {
    HttpError::new(
        Class::TooLarge,
        format!("the body of this request may have {max} bytes at most"),
    )
}

/// Reads and drops the rest of a body, so that the client can finish sending and then read the answer.
/// Bounded in bytes and time. What is left after that makes the connection close (lingering, see
/// [`crate::server`]).
fn discard(tasks: &Tasks, body: Body) {
    if body.is_end_stream() {
        return;
    }
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        tokio::select! {
            // Running out of time is an ordinary end: the connection is closed then.
            _ = tokio::time::timeout(DISCARD_TIMEOUT, read(body)) => {}
            () = stopping.cancelled() => {}
        }
    });
}

async fn read(mut body: Body) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, |data| data.len() as u64);
        if seen > MAX_DISCARDED_BYTES {
            break;
        }
    }
}

/// Whether the client waits before it sends its body (RFC 9110, section 10.1.1). Such a client has sent
/// nothing as long as its body was not asked for.
pub fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

//! The rest of a body whose answer is decided.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::tasks::Tasks;

/// Bytes of a refused body that are read and dropped, so that the client gets to read the answer.
pub const MAX_DISCARDED_BYTES: u64 = 16 * 1024 * 1024;

/// How long a refused body is read and dropped.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads and drops the rest of a body, so that the client can finish sending and then read the answer.
/// Bounded in bytes and time. What is left after that makes the connection close (lingering, see
/// [`crate::server`]).
pub(super) fn discard(tasks: &Tasks, body: Body) {
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

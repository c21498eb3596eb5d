//! The body of an answer: its length checked, no pause too long, its permit held to the end.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::core::Core;
use super::permits::Permit;
use crate::store::source::SourceStream;
use crate::store::{Error, RemoteErrorKind, Result};

/// A body that is being read.
pub(super) struct Body {
    pub(super) core: Arc<Core>,
    pub(super) bytes: ByteStream,
    /// The first bytes, if they have been waited for.
    pub(super) begun: Option<Bytes>,
    /// Bytes in front of those that are wanted.
    pub(super) skipped: u64,
    /// Bytes that the answer has.
    pub(super) length: u64,
    pub(super) _permit: Arc<Permit>,
}

impl Body {
    /// Waits for the first bytes.
    ///
    /// # Errors
    /// [`Error::Remote`] if they do not come.
    pub(super) async fn begin(&mut self) -> Result<()> {
        if self.length > 0 && self.begun.is_none() {
            let idle = self.core.config.idle_timeout;
            let Some(first) = self.receive(idle).await? else {
                return Err(self.fail(RemoteErrorKind::Other, "the body ended early"));
            };
            self.begun = Some(first);
        }
        Ok(())
    }

    /// The first `wanted` bytes after those that are skipped.
    pub(super) fn stream(self, wanted: u64) -> SourceStream {
        let state = Reading {
            idle: self.core.config.idle_timeout,
            end: self.length.min(self.skipped + wanted),
            at: 0,
            body: self,
        };
        let chunks = stream::try_unfold(Some(state), |state| async move {
            let Some(mut state) = state else { return Ok(None) };
            let chunk = state.next().await?;
            // With the last bytes the connection and the permit are given back.
            let rest = (state.at < state.end).then_some(state);
            Ok::<_, Error>(chunk.map(|chunk| (chunk, rest)))
        });
        chunks.boxed()
    }

    /// The whole body, which must be short.
    pub(super) async fn collect(self) -> Result<Bytes> {
        let length = self.length - self.skipped;
        let mut chunks = self.stream(length);
        let mut bytes = Vec::with_capacity(length as usize);
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes.into())
    }

    async fn receive(&mut self, idle: Duration) -> Result<Option<Bytes>> {
        if let Some(first) = self.begun.take() {
            return Ok(Some(first));
        }
        loop {
            match tokio::time::timeout(idle, self.bytes.next()).await {
                Ok(Some(Ok(chunk))) if chunk.is_empty() => {}
                Ok(Some(Ok(chunk))) => return Ok(Some(chunk)),
                Ok(Some(Err(error))) => {
                    let text = crate::error::chain(&error);
                    return Err(self.fail(RemoteErrorKind::Other, text));
                }
                Ok(None) => return Ok(None),
                Err(_) => return Err(self.fail(RemoteErrorKind::Timeout, "s3.idle_timeout is over")),
            }
        }
    }

    fn fail(&self, kind: RemoteErrorKind, text: impl Into<String>) -> Error {
        self.core.fail(kind, text).at("reading an object")
    }
}

struct Reading {
    body: Body,
    idle: Duration,
    /// Of the next byte in the answer.
    at: u64,
    /// Of the first byte in the answer that is not wanted.
    end: u64,
}

impl Reading {
    /// The next bytes that are wanted; none only if none were wanted at all.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            let Some(mut chunk) = self.body.receive(self.idle).await? else {
                return Err(self.body.fail(RemoteErrorKind::Other, "the body ended early"));
            };
            let begin = self.at;
            self.check_end(&mut chunk).await?;
            self.at += chunk.len() as u64;
            self.body.core.counters.bytes_in.inc_by(chunk.len() as u64);
            let unwanted = self.body.skipped.saturating_sub(begin).min(chunk.len() as u64);
            let wanted = chunk.split_off(unwanted as usize);
            if !wanted.is_empty() {
                return Ok(Some(wanted));
            }
        }
        Ok(None)
    }

    /// Takes what is not wanted off the last bytes; a body that is longer than announced is an error.
    async fn check_end(&mut self, chunk: &mut Bytes) -> Result<()> {
        let left = self.end - self.at;
        let mut is_longer = self.at + chunk.len() as u64 > self.body.length;
        if chunk.len() as u64 >= left && !is_longer {
            chunk.truncate(left as usize);
            // The SDK reports a wrong checksum only at the end; read to it, the connection can be used again.
            is_longer = self.end == self.body.length && self.body.receive(self.idle).await?.is_some();
        }
        match is_longer {
            true => Err(self
                .body
                .fail(RemoteErrorKind::Damaged, "the body is longer than announced")),
            false => Ok(()),
        }
    }
}

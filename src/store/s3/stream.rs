//! The body of an answer: its length checked, no pause too long, its permit held to the end.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::core::{Core, Permit};
use crate::store::source::SourceStream;
use crate::store::{Error, RemoteErrorKind, Result};

/// A body that is being read.
pub(super) struct Body {
    pub(super) core: Arc<Core>,
    pub(super) bytes: ByteStream,
    /// Bytes that the answer has.
    pub(super) length: u64,
    pub(super) _permit: Arc<Permit>,
}

impl Body {
    /// The first `wanted` bytes.
    pub(super) fn stream(self, wanted: u64) -> SourceStream {
        let state = Reading {
            idle: self.core.config.idle_timeout,
            wanted: wanted.min(self.length),
            body: self,
            given: 0,
        };
        let chunks = stream::try_unfold(Some(state), |state| async move {
            let Some(mut state) = state else { return Ok(None) };
            let chunk = state.next().await?;
            // With the last bytes the connection and the permit are given back.
            let rest = (state.given < state.wanted).then_some(state);
            Ok::<_, Error>(chunk.map(|chunk| (chunk, rest)))
        });
        chunks.boxed()
    }

    /// The whole body, which must be short.
    pub(super) async fn collect(self) -> Result<Bytes> {
        let length = self.length;
        let mut chunks = self.stream(length);
        let mut bytes = Vec::with_capacity(length as usize);
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes.into())
    }
}

struct Reading {
    body: Body,
    idle: Duration,
    wanted: u64,
    given: u64,
}

impl Reading {
    /// The next bytes that are wanted; none only if none were wanted at all.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.given >= self.wanted {
            return Ok(None);
        }
        let Some(mut chunk) = self.receive().await? else {
            return Err(self.fail(RemoteErrorKind::Other, "the body ended early"));
        };
        let left = self.wanted - self.given;
        let mut is_longer = self.given + chunk.len() as u64 > self.body.length;
        if chunk.len() as u64 >= left && !is_longer {
            chunk.truncate(left as usize);
            // The SDK reports a wrong checksum only at the end; read to it, the connection can be used again.
            is_longer = self.wanted == self.body.length && self.receive().await?.is_some();
        }
        if is_longer {
            return Err(self.fail(RemoteErrorKind::Damaged, "the body is longer than announced"));
        }
        self.given += chunk.len() as u64;
        self.body.core.counters.bytes_in.inc_by(chunk.len() as u64);
        Ok(Some(chunk))
    }

    async fn receive(&mut self) -> Result<Option<Bytes>> {
        loop {
            match tokio::time::timeout(self.idle, self.body.bytes.next()).await {
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
        self.body.core.fail(kind, text).at("reading an object")
    }
}

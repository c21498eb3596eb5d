//! Fetching the parts of one entry, several at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::damaged;
use super::growing::Growing;
use crate::store::remote::{RemoteEntry, RemoteStream};
use crate::store::spool::{Checksums, Summer};
use crate::store::tiered::Inner;
use crate::store::{Error, RemoteFault, Result, StoreKey};
use crate::tasks;

/// Bytes that are written at once: a hop to the blocking pool is cheap beside the copy, and as many bytes
/// wait in memory for each part.
const BATCH: usize = 256 * 1024;
/// How often a part is asked for again without a byte having arrived in between.
const ATTEMPTS: u32 = 7;
/// The first pause before that; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// One large entry on its way.
pub(super) struct Transfer {
    inner: Arc<Inner>,
    key: StoreKey,
    entry: RemoteEntry,
    growing: Growing,
    /// Checksums of the parts that are done.
    sums: Mutex<Vec<Box<[u64]>>>,
    /// Ends all parts when one has failed for good, or the server stops.
    stop: CancellationToken,
}

impl Transfer {
    pub(super) fn new(inner: &Arc<Inner>, key: &StoreKey, entry: RemoteEntry, growing: Growing) -> Arc<Self> {
        Arc::new(Self {
            sums: Mutex::new(vec![Box::default(); growing.count()]),
            stop: inner.tasks.stopping().child_token(),
            inner: Arc::clone(inner),
            key: key.clone(),
            entry,
            growing,
        })
    }

    /// Fetches all parts; `front` gives the first `length` bytes.
    pub(super) async fn run(self: Arc<Self>, front: RemoteStream, length: u64) -> Result<Checksums> {
        let parallel = self
            .inner
            .far
            .plan()
            .parallel
            .clamp(1, self.growing.count().max(1));
        let mut front = Some((front, length));
        let workers: Vec<JoinHandle<Result<()>>> = (0..parallel)
            .map(|_| self.inner.tasks.spawn(Arc::clone(&self).work(front.take())))
            .collect();
        let urgent = self.inner.tasks.spawn(Arc::clone(&self).work_urgently());
        let mut outcome = Ok(());
        for worker in workers {
            outcome = outcome.and(worker.await.unwrap_or(Err(Error::Stopping)));
        }
        self.growing.parts().close();
        outcome = outcome.and(urgent.await.unwrap_or(Err(Error::Stopping)));
        // The first fault is told by whoever met it; the others only stopped.
        outcome?;
        let blocks = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        let sums = Checksums::from_parts(self.entry.meta.size, blocks.concat().into());
        sums.ok_or_else(|| damaged("the parts do not make the whole"))
    }

    /// Takes part after part; whoever has the front begins with it.
    async fn work(self: Arc<Self>, front: Option<(RemoteStream, u64)>) -> Result<()> {
        if front.is_some() {
            self.guarded(0, front).await?;
        }
        while let Some(part) = self.growing.parts().take() {
            self.guarded(part, None).await?;
        }
        Ok(())
    }

    /// Takes the parts that readers far ahead wait for.
    async fn work_urgently(self: Arc<Self>) -> Result<()> {
        loop {
            let wanted = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                wanted = self.growing.parts().wanted() => wanted,
            };
            let Some(part) = wanted else { return Ok(()) };
            self.guarded(part, None).await?;
        }
    }

    /// One part; its failure is that of the whole entry.
    async fn guarded(&self, part: usize, front: Option<(RemoteStream, u64)>) -> Result<()> {
        let outcome = tokio::select! {
            () = self.stop.cancelled() => Err(Error::Stopping),
            outcome = self.part(part, front) => outcome,
        };
        if let Err(error) = &outcome {
            // Readers learn the cause, not that the other parts were stopped for it.
            self.growing.fail(error);
            self.stop.cancel();
        }
        outcome
    }

    /// Fetches one part, going on where a stream broke.
    async fn part(&self, part: usize, front: Option<(RemoteStream, u64)>) -> Result<()> {
        let range = self.growing.range(part);
        let mut summer = Summer::default();
        let mut at = range.start;
        // The front may end before its part does.
        let mut stream = front.map(|(stream, length)| (stream, length.min(range.end)));
        let mut failures = 0;
        while at < range.end {
            let opened = match stream.take() {
                Some(opened) => Ok(opened),
                None => {
                    let rest = self.inner.far.read(&self.key, &self.entry, at..range.end).await;
                    rest.map(|rest| (rest, range.end))
                }
            };
            let before = at;
            let outcome = match opened {
                Ok((stream, end)) => self.drain(part, stream, &mut at, end, &mut summer).await,
                Err(error) => Err(error),
            };
            failures = if at > before { 0 } else { failures + 1 };
            if let Err(error) = outcome {
                if is_final(&error) || failures >= ATTEMPTS {
                    return Err(error);
                }
                tasks::pause(PAUSE * 2_u32.pow(failures)).await;
            }
        }
        let blocks = summer.finish().blocks().into();
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)[part] = blocks;
        Ok(())
    }

    /// Writes what a stream gives, up to `end` of the body.
    async fn drain(
        &self,
        part: usize,
        mut stream: RemoteStream,
        at: &mut u64,
        end: u64,
        summer: &mut Summer,
    ) -> Result<()> {
        while *at < end {
            let (frames, ended) = batch(&mut stream).await;
            let length: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
            if length > end - *at {
                return Err(damaged("the server sent more than it was asked for"));
            }
            if length > 0 {
                let (growing, offset, mut sums) = (self.growing.clone(), *at, std::mem::take(summer));
                let hop = self.inner.tasks.spawn_blocking(move || {
                    frames.iter().for_each(|frame| sums.update(frame));
                    growing.write(part, &frames, offset).map(|()| sums)
                });
                let written = hop.await.map_err(|_| Error::Stopping)?;
                *summer = written.map_err(|error| Error::io("writing a fetched entry", error))?;
                *at += length;
                self.inner.counters.fetched(length);
            }
            match ended {
                None => {}
                Some(Err(error)) => return Err(error),
                Some(Ok(())) if *at < end => return Err(cut()),
                Some(Ok(())) => break,
            }
        }
        Ok(())
    }
}

/// What has arrived, up to [`BATCH`] bytes, and how the stream ended if it did. Waits for the first frame
/// only: a slow server's bytes are passed on as they come.
async fn batch(stream: &mut RemoteStream) -> (Vec<Bytes>, Option<Result<()>>) {
    let mut frames = Vec::new();
    let mut length = 0;
    let mut next = stream.next().await;
    loop {
        match next {
            Some(Ok(frame)) => {
                length += frame.len();
                frames.push(frame);
            }
            Some(Err(error)) => return (frames, Some(Err(error))),
            None => return (frames, Some(Ok(()))),
        }
        if length >= BATCH {
            return (frames, None);
        }
        match stream.next().now_or_never() {
            Some(more) => next = more,
            None => return (frames, None),
        }
    }
}

/// Whether asking again cannot help.
fn is_final(error: &Error) -> bool {
    !matches!(
        error.remote_fault(),
        Some(
            RemoteFault::Unreachable
                | RemoteFault::Throttled
                | RemoteFault::Timeout
                | RemoteFault::Expired
                | RemoteFault::Resting
                | RemoteFault::Damaged
                | RemoteFault::Other
        )
    )
}

fn cut() -> Error {
    let text = "the connection ended before the body did";
    Error::remote("fetching an entry", RemoteFault::Other, text)
}

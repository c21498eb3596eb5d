//! Fetching the parts of one entry, several at once.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use prometheus_client::metrics::counter::Counter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::resume::{Resumption, cut};
use super::{GrowingFile, Judge, damaged};
use crate::store::batch::total_length;
use crate::store::source::{EntrySource, SourceOpen, SourceStream};
use crate::store::spool::{ChecksumBuilder, Checksums};
use crate::store::turns::{Asker, file_turn};
use crate::store::{Error, Result, Spool};
use crate::tasks::Tasks;

/// Bytes that are written at once: a hop to the blocking pool is cheap beside the copy, and as many bytes
/// wait in memory for each part.
const BATCH_BYTES: usize = 256 * 1024;

/// What the transfers of one tier share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TransferContext {
    /// Parts are fetched and written here.
    pub(crate) tasks: Tasks,
    /// Counts the bytes that were fetched.
    pub(crate) fetched_bytes: Counter,
}

/// One large entry on its way into a file.
pub(crate) struct Transfer {
    context: TransferContext,
    source: Arc<dyn EntrySource>,
    version: Arc<str>,
    /// In whose name it is fetched and written.
    asker: Asker,
    growing: GrowingFile,
    /// Checksums of the parts that are done.
    sums: Mutex<Vec<Box<[u64]>>>,
    /// Ends all parts when one has failed for good, or the server stops.
    stop: CancellationToken,
}

impl Transfer {
    /// Fetches the version that `open` tells of from `source` into `growing`.
    pub(crate) fn new(
        context: &TransferContext,
        (source, asker): (Arc<dyn EntrySource>, Asker),
        open: &SourceOpen,
        growing: GrowingFile,
    ) -> Arc<Self> {
        Arc::new(Self {
            sums: Mutex::new(vec![Box::default(); growing.count()]),
            stop: context.tasks.stopping().child_token(),
            context: context.clone(),
            version: Arc::clone(&open.version),
            source,
            asker,
            growing,
        })
    }

    /// Fetches all parts, of which `first` gives the first `length` bytes, and has them judged. Afterwards the
    /// file is complete, or its readers know that it never will be.
    ///
    /// # Errors
    /// As [`EntrySource::read`], and what `judge` says.
    pub(crate) async fn run(
        self: Arc<Self>,
        first: SourceStream,
        length: u64,
        judge: &Judge,
    ) -> Result<Spool> {
        let growing = self.growing.clone();
        let sums = self.fetch(first, length).await;
        let judged = sums.and_then(|sums| judge.judge(&sums).map(|()| sums));
        match &judged {
            Ok(_) => growing.complete(),
            Err(error) => growing.fail(error),
        }
        judged.map(|sums| growing.finish(sums))
    }

    async fn fetch(self: Arc<Self>, first: SourceStream, length: u64) -> Result<Checksums> {
        let parallel = self.source.plan().parallel.clamp(1, self.growing.count().max(1));
        let mut first = Some((first, length));
        let tasks = &self.context.tasks;
        let workers: Vec<JoinHandle<Result<()>>> = (0..parallel)
            .map(|_| tasks.spawn(Arc::clone(&self).work(first.take())))
            .collect();
        let urgent = tasks.spawn(Arc::clone(&self).work_urgently());
        let mut outcome = Ok(());
        for worker in workers {
            outcome = outcome.and(worker.await.unwrap_or(Err(Error::Stopping)));
        }
        self.growing.parts().close();
        outcome = outcome.and(urgent.await.unwrap_or(Err(Error::Stopping)));
        // The worker that met the first fault has told the readers; the others only stopped.
        outcome?;
        let blocks = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        let sums = Checksums::from_parts(self.growing.size(), blocks.concat().into());
        sums.ok_or_else(|| damaged("the parts do not make the whole"))
    }

    /// Takes part after part. The worker that has the beginning of the body starts with it.
    async fn work(self: Arc<Self>, first: Option<(SourceStream, u64)>) -> Result<()> {
        if first.is_some() {
            self.guarded(0, first).await?;
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
    async fn guarded(&self, part: usize, first: Option<(SourceStream, u64)>) -> Result<()> {
        let outcome = tokio::select! {
            () = self.stop.cancelled() => Err(Error::Stopping),
            outcome = self.part(part, first) => outcome,
        };
        if let Err(error) = &outcome {
            // Readers learn the cause, not that the other parts were stopped for it.
            self.growing.fail(error);
            self.stop.cancel();
        }
        outcome
    }

    /// Fetches one part, going on where a stream broke.
    async fn part(&self, part: usize, first: Option<(SourceStream, u64)>) -> Result<()> {
        let range = self.growing.range(part);
        let mut summer = ChecksumBuilder::default();
        let mut at = range.start;
        // What was opened first may end before its part does.
        let mut stream = first.map(|(stream, length)| (stream, length.min(range.end)));
        let mut resumption = Resumption::default();
        while at < range.end {
            let before = at;
            let step = async {
                let (stream, end) = match stream.take() {
                    Some(opened) => opened,
                    None => (self.source.read(&self.version, at..range.end).await?, range.end),
                };
                self.drain(part, stream, &mut at, end, &mut summer).await
            };
            match step.await {
                Ok(()) => resumption.progressed(),
                Err(error) => resumption.wait_after(error, at > before).await?,
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
        mut stream: SourceStream,
        at: &mut u64,
        end: u64,
        summer: &mut ChecksumBuilder,
    ) -> Result<()> {
        while *at < end {
            let (frames, ended) = batch(&mut stream).await;
            let length = total_length(&frames);
            if length > end - *at {
                return Err(damaged("the server sent more than it was asked for"));
            }
            if length > 0 {
                let (growing, offset, mut sums) = (self.growing.clone(), *at, std::mem::take(summer));
                let turn = file_turn(self.asker).await;
                let hop = self.context.tasks.spawn_blocking(move || {
                    let _turn = turn;
                    frames.iter().for_each(|frame| sums.update(frame));
                    growing.write(part, &frames, offset).map(|()| sums)
                });
                let written = hop.await.map_err(|_| Error::Stopping)?;
                *summer = written.map_err(|error| Error::io("writing a fetched entry", error))?;
                *at += length;
                self.context.fetched_bytes.inc_by(length);
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

/// What has arrived, up to [`BATCH_BYTES`] bytes, and how the stream ended if it did. Waits for the first frame
/// only: a slow server's bytes are passed on as they come.
async fn batch(stream: &mut SourceStream) -> (Vec<Bytes>, Option<Result<()>>) {
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
        if length >= BATCH_BYTES {
            return (frames, None);
        }
        match stream.next().now_or_never() {
            Some(more) => next = more,
            None => return (frames, None),
        }
    }
}

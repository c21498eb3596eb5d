//! Bytes on their way into a file.
//!
//! They are collected without copying into batches of [`BATCH_BYTES`]. One hop to the blocking pool writes a batch
//! while the next one is collected. So a body takes about two batches of memory, and at worst twice that, whatever
//! its length. A write that a full volume refuses is tried again after entries made way. Batches count as memory: what
//! would be too much is written at once, however short it is.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::Error;
use super::budget::{Budget, FullVolumeRetry};
use super::memory::MemoryShare;
use super::turns::{Asker, file_turn};
use crate::tasks::Tasks;

/// Bytes that are written at once, except at the ends of a body.
const BATCH_BYTES: usize = 256 * 1024;
/// Shorter frames are copied together, so that a trickle does not pin a network buffer per frame: each of them is
/// part of a buffer of 8 KiB and more.
const MIN_FRAME_BYTES: usize = 4096;

/// Where the bytes of a [`BatchWriter`] go. It travels to the blocking pool with each batch.
pub(crate) trait BatchSink: Debug + Send + Sized + 'static {
    /// Why a write failed.
    type Error: From<Error> + Debug + Send;

    /// Blocking: adds the bytes to the checksums. Called once for each batch, before it is written.
    fn sum(&mut self, frames: &[Bytes]);

    /// Blocking: writes the bytes behind those before, and takes them out of `frames`. What stays there after an
    /// error is given to the next attempt. `last`: the body ends with these bytes.
    fn write(&mut self, frames: &mut Vec<Bytes>, last: bool) -> Result<(), Self::Error>;

    /// Whether batches may be shorter than they would be by themselves.
    fn takes_short_batches(&self) -> bool {
        true
    }

    /// The error of the tier, if it is one.
    fn store_error(error: &Self::Error) -> Option<&Error>;

    /// The error of a writer that is used again after a failure.
    fn lost() -> Self::Error;
}

/// Writes one body to its sink. Unusable after a dropped or failed call.
#[derive(Debug)]
pub(crate) struct BatchWriter<S: BatchSink> {
    budget: Arc<Budget>,
    tasks: Tasks,
    /// In whose name it is written.
    asker: Asker,
    memory: MemoryShare,
    batch: Batch,
    /// Bytes in flight.
    flying: u64,
    /// `None` while it is in flight, and after a failure.
    job: Option<Box<BatchJob<S>>>,
    flight: Option<JoinHandle<BatchOutcome<S>>>,
}

type BatchOutcome<S> = (Box<BatchJob<S>>, Result<(), <S as BatchSink>::Error>);

/// What is handed to the blocking pool and comes back from it.
#[derive(Debug)]
struct BatchJob<S> {
    sink: S,
    frames: Vec<Bytes>,
    /// Whether the frames are in the sums already: a second attempt only writes.
    summed: bool,
    last: bool,
}

impl<S: BatchSink> BatchWriter<S> {
    /// For bytes from `offset` of a file on, which count in `memory` as long as they wait. Evictions of `budget` make
    /// way on a full volume.
    pub(crate) fn new(
        (budget, tasks, asker): (&Arc<Budget>, &Tasks, Asker),
        memory: MemoryShare,
        offset: u64,
        sink: S,
    ) -> Self {
        let job = BatchJob {
            sink,
            frames: Vec::new(),
            summed: false,
            last: false,
        };
        Self {
            budget: Arc::clone(budget),
            tasks: tasks.clone(),
            asker,
            memory,
            batch: Batch::at(offset),
            flying: 0,
            job: Some(Box::new(job)),
            flight: None,
        }
    }

    /// Adds the next bytes. May wait for the disk.
    pub(crate) async fn write(&mut self, mut chunk: Bytes) -> Result<(), S::Error> {
        while self.batch.fill(&mut chunk) {
            self.flush(false).await?;
        }
        match self.memory.hold(self.batch.bytes + self.flying) {
            true => Ok(()),
            // Boxed to keep the future of the common case small.
            false => Box::pin(self.make_short()).await,
        }
    }

    /// There is no memory for what waits: it goes to the sink.
    async fn make_short(&mut self) -> Result<(), S::Error> {
        self.settle().await?;
        let needs_all = self.sink().is_some_and(|sink| !sink.takes_short_batches());
        if needs_all {
            return Ok(self.memory.hold_or_refuse(self.batch.bytes)?);
        }
        if self.memory.hold(self.batch.bytes) {
            return Ok(());
        }
        self.memory.count_early_write();
        self.flush(false).await?;
        self.settle().await?;
        self.memory.shrink(0);
        Ok(())
    }

    /// What waits counts as this owner's from now on.
    pub(crate) fn charge(&mut self, owner: &Arc<str>) {
        self.memory.charge(owner);
    }

    /// Writes what waits as the last bytes.
    pub(crate) async fn finish(mut self) -> Result<S, S::Error> {
        self.flush(true).await?;
        self.settle().await?;
        Ok(self.job.ok_or_else(S::lost)?.sink)
    }

    /// Ends without writing what waits. Answers the sink and these bytes.
    pub(crate) fn into_parts(mut self) -> Result<(S, Vec<Bytes>), S::Error> {
        let job = self.job.ok_or_else(S::lost)?;
        Ok((job.sink, self.batch.take()))
    }

    /// The sink, unless a batch is in flight or has failed.
    pub(crate) fn sink(&self) -> Option<&S> {
        self.job.as_ref().map(|job| &job.sink)
    }

    /// Hands the batch to the blocking pool, after the one before it is written.
    async fn flush(&mut self, last: bool) -> Result<(), S::Error> {
        self.settle().await?;
        let mut job = self.job.take().ok_or_else(S::lost)?;
        self.flying = self.batch.bytes;
        job.frames = self.batch.take();
        job.summed = false;
        job.last = last;
        self.start(job).await;
        Ok(())
    }

    /// Has it written when it is its turn.
    async fn start(&mut self, job: Box<BatchJob<S>>) {
        let turn = file_turn(self.asker).await;
        self.flight = Some(self.tasks.spawn_blocking(move || {
            let _turn = turn;
            job.run()
        }));
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn settle(&mut self) -> Result<(), S::Error> {
        let mut retry = FullVolumeRetry::default();
        while let Some(flight) = &mut self.flight {
            let (job, outcome) = flight.await.map_err(|_| Error::Stopping)?;
            self.flight = None;
            let Err(error) = outcome else {
                self.job = Some(job);
                self.flying = 0;
                return Ok(());
            };
            let again = match S::store_error(&error) {
                Some(refused) => {
                    retry
                        .makes_way(&self.budget, refused, total_length(&job.frames))
                        .await
                }
                None => false,
            };
            if !again {
                return Err(error);
            }
            self.start(job).await;
        }
        Ok(())
    }
}

impl<S: BatchSink> BatchJob<S> {
    fn run(mut self: Box<Self>) -> BatchOutcome<S> {
        if !std::mem::replace(&mut self.summed, true) {
            self.sink.sum(&self.frames);
        }
        let this = &mut *self;
        let outcome = this.sink.write(&mut this.frames, this.last);
        (self, outcome)
    }
}

/// Bytes of all frames.
pub(crate) fn total_length(frames: &[Bytes]) -> u64 {
    frames.iter().map(|frame| frame.len() as u64).sum()
}

/// Frames that wait to be written.
///
/// A batch ends where a multiple of [`BATCH_BYTES`] does in the file. The page cache keeps what one call has written
/// in as few pieces as its beginning is aligned for, and the fewer they are, the cheaper is the file to send.
#[derive(Debug)]
struct Batch {
    frames: Vec<Bytes>,
    tail: BytesMut,
    bytes: u64,
    room: usize,
}

impl Batch {
    /// An empty batch of bytes that belong at `offset` of a file.
    fn at(offset: u64) -> Self {
        Self {
            frames: Vec::new(),
            tail: BytesMut::new(),
            bytes: 0,
            room: BATCH_BYTES - (offset % BATCH_BYTES as u64) as usize,
        }
    }

    /// Takes from the front of `chunk` what fits. Answers whether something is left, for which the batch has to be
    /// taken first. A full one waits for that: the last one then goes with the end of the body, in one hop.
    fn fill(&mut self, chunk: &mut Bytes) -> bool {
        let fitting = chunk.split_to(self.room.min(chunk.len()));
        self.room -= fitting.len();
        self.bytes += fitting.len() as u64;
        if fitting.len() < MIN_FRAME_BYTES {
            self.tail.extend_from_slice(&fitting);
        } else {
            self.end_tail();
            self.frames.push(fitting);
        }
        !chunk.is_empty()
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.frames.push(self.tail.split().freeze());
        }
    }

    /// All that waits, in order.
    fn take(&mut self) -> Vec<Bytes> {
        self.end_tail();
        if self.room == 0 {
            self.room = BATCH_BYTES;
        }
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryAccount;

    /// Keeps what it gets.
    #[derive(Debug)]
    struct Kept {
        batches: Vec<Vec<u8>>,
        takes_short: bool,
    }

    impl BatchSink for Kept {
        type Error = Error;

        fn sum(&mut self, _frames: &[Bytes]) {}

        fn write(&mut self, frames: &mut Vec<Bytes>, _last: bool) -> Result<(), Error> {
            self.batches.push(std::mem::take(frames).concat());
            Ok(())
        }

        fn takes_short_batches(&self) -> bool {
            self.takes_short
        }

        fn store_error(error: &Error) -> Option<&Error> {
            Some(error)
        }

        fn lost() -> Error {
            Error::Stopping
        }
    }

    fn writer(account: &MemoryAccount, takes_short: bool) -> BatchWriter<Kept> {
        let budget = Budget::new(1 << 20, 0, std::time::Duration::ZERO);
        let sink = Kept {
            batches: Vec::new(),
            takes_short,
        };
        let share = account.share(&"a".into());
        BatchWriter::new((&budget, &Tasks::new(), Asker::SERVER), share, 0, sink)
    }

    #[tokio::test]
    async fn without_memory_each_frame_goes_at_once_and_nothing_is_held() {
        let account = MemoryAccount::new(100 * 1024);
        let mut batches = writer(&account, true);
        let body: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        for frame in body.chunks(30_000) {
            batches.write(Bytes::copy_from_slice(frame)).await.unwrap();
            let held = batches.batch.bytes + batches.flying;
            assert!(held <= account.stats().used, "{held}");
            assert!(account.stats().used <= 50 * 1024);
        }
        assert!(account.stats().early_writes >= 4);
        let sink = batches.finish().await.unwrap();
        assert!(sink.batches.len() >= 5, "{}", sink.batches.len());
        assert!(sink.batches.concat() == body);
        assert_eq!(account.stats().used, 0);
    }

    #[tokio::test]
    async fn what_has_to_stay_in_one_piece_is_refused_without_memory() {
        let account = MemoryAccount::new(100 * 1024);
        let mut batches = writer(&account, false);
        batches.write(vec![1; 40_000].into()).await.unwrap();
        let refused = batches.write(vec![1; 40_000].into()).await;
        assert!(matches!(refused, Err(Error::NoMemory)), "{refused:?}");
        assert_eq!(account.stats().refused, 1);
    }

    /// The lengths of the batches that frames of `frames` bytes make from `offset` on.
    fn batches(offset: u64, frames: &[usize]) -> Vec<usize> {
        let mut batch = Batch::at(offset);
        let mut lengths = Vec::new();
        let length = |frames: Vec<Bytes>| frames.iter().map(Bytes::len).sum::<usize>();
        for frame in frames {
            let mut chunk = Bytes::from(vec![7; *frame]);
            while batch.fill(&mut chunk) {
                lengths.push(length(batch.take()));
            }
        }
        lengths.push(length(batch.take()));
        lengths
    }

    #[test]
    fn batches_end_where_the_page_cache_wants_it() {
        assert_eq!(batches(0, &[15_588, BATCH_BYTES, 100]), [BATCH_BYTES, 15_688]);
        assert_eq!(
            batches(10, &[BATCH_BYTES, BATCH_BYTES]),
            [BATCH_BYTES - 10, BATCH_BYTES, 10]
        );
        assert_eq!(
            batches(BATCH_BYTES as u64 * 3, &[3 * BATCH_BYTES + 1]),
            [BATCH_BYTES, BATCH_BYTES, BATCH_BYTES, 1]
        );
    }

    #[test]
    fn the_last_batch_is_not_empty() {
        assert_eq!(
            batches(0, &[BATCH_BYTES, BATCH_BYTES]),
            [BATCH_BYTES, BATCH_BYTES]
        );
        assert_eq!(batches(0, &[]), [0]);
    }

    #[test]
    fn batches_keep_the_order_of_tiny_and_long_frames() {
        let body: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
        let mut batch = Batch::at(99);
        let (mut rest, mut found) = (Bytes::from(body.clone()), Vec::new());
        for length in [1, 1023, 2048, 300_000, 5, 396_923].into_iter().cycle() {
            let mut chunk = rest.split_to(length.min(rest.len()));
            while batch.fill(&mut chunk) {
                found.extend(batch.take().concat());
            }
            if rest.is_empty() {
                break;
            }
        }
        found.extend(batch.take().concat());
        assert_eq!(found, body);
    }
}

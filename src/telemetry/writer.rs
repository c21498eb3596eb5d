//! Log lines on their way out: collected in memory, written in batches by a thread of their own.
//!
//! A request pays for a short lock and a copy of its line. A slow terminal or a full pipe costs lines,
//! never a request.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait for the writer; further lines are dropped and counted.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// How long lines are collected before they are written: one call for many, and soon enough to watch.
const BATCH_INTERVAL: Duration = Duration::from_millis(20);
/// How long the end of the process waits for an output that takes nothing: a full pipe whose reader hangs.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes lines. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct LogQueue(Arc<LogQueueShared>);

#[derive(Debug, Default)]
struct LogQueueShared {
    state: Mutex<LogQueueState>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct LogQueueState {
    waiting: Vec<u8>,
    dropped: u64,
    closing: bool,
    /// All is written, and the thread ends.
    done: bool,
}

/// Writes what still waits when it is dropped, as far as the output takes it within [`FINISH_TIMEOUT`].
#[derive(Debug)]
pub struct LogGuard {
    queue: LogQueue,
    thread: Option<JoinHandle<()>>,
    finish_timeout: Duration,
}

/// Starts the thread that writes to `out`.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(LogQueue, LogGuard)> {
    let queue = LogQueue(Arc::default());
    let writer = queue.clone();
    let thread = std::thread::Builder::new()
        .name("chacha-log".to_owned())
        .spawn(move || writer.write_all_to(out))?;
    let guard = LogGuard {
        queue: queue.clone(),
        thread: Some(thread),
        finish_timeout: FINISH_TIMEOUT,
    };
    Ok((queue, guard))
}

impl LogQueue {
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > MAX_WAITING_BYTES {
            state.dropped += 1;
            return;
        }
        let first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if first {
            self.0.filled.notify_one();
        }
    }

    fn write_all_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let (dropped, closing) = self.next(&mut batch);
            // An error of the log itself can be reported nowhere.
            out.write_all(&batch).ok();
            if dropped > 0 {
                writeln!(
                    out,
                    "{dropped} log lines were dropped: the log is written more slowly than it grows"
                )
                .ok();
            }
            out.flush().ok();
            if closing {
                self.state().done = true;
                self.0.filled.notify_all();
                return;
            }
            batch.clear();
        }
    }

    /// Waits for lines, lets some more come, and takes them all.
    fn next(&self, batch: &mut Vec<u8>) -> (u64, bool) {
        let idle = |state: &mut LogQueueState| state.waiting.is_empty() && !state.closing;
        let state = self
            .0
            .filled
            .wait_while(self.state(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        let more = |state: &mut LogQueueState| !state.closing;
        let waited = self.0.filled.wait_timeout_while(state, BATCH_INTERVAL, more);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, batch);
        (std::mem::take(&mut state.dropped), state.closing)
    }

    fn state(&self) -> MutexGuard<'_, LogQueueState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event; `tracing_subscriber` hands over whole lines.
#[derive(Debug)]
pub(super) struct QueueWriter<'a>(&'a LogQueue);

impl Write for QueueWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = QueueWriter<'a>;

    fn make_writer(&'a self) -> QueueWriter<'a> {
        QueueWriter(self)
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.closing = true;
        let filled = &self.queue.0.filled;
        filled.notify_all();
        let waited = filled.wait_timeout_while(state, self.finish_timeout, |state| !state.done);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let done = state.done;
        drop(state);
        if let Some(thread) = self.thread.take().filter(|_| done) {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks in `write` until the test lets it go on.
    struct Slow(std::sync::mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn dropping_the_guard_writes_everything_in_order() {
        let (go, gate) = std::sync::mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (queue, guard) = start(Slow(gate, written.clone())).unwrap();
        let expected: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        for line in expected.split_inclusive('\n') {
            queue.make_writer().write_all(line.as_bytes()).unwrap();
        }
        drop(go);
        drop(guard);
        assert_eq!(*written.lock().unwrap(), expected.as_bytes());
    }

    #[test]
    fn an_output_that_hangs_does_not_keep_the_process() {
        let (go, gate) = std::sync::mpsc::channel();
        let (queue, mut guard) = start(Slow(gate, Arc::default())).unwrap();
        queue.push(b"never read\n");
        guard.finish_timeout = Duration::from_millis(10);
        drop(guard);
        drop(go);
    }

    #[test]
    fn a_stuck_output_costs_lines_and_blocks_nobody() {
        let (go, gate) = std::sync::mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (queue, guard) = start(Slow(gate, written.clone())).unwrap();
        let line = vec![b'x'; MAX_WAITING_BYTES / 4];
        for _ in 0..20 {
            queue.push(&line);
        }
        assert!(queue.state().waiting.len() <= MAX_WAITING_BYTES);
        drop(go);
        drop(guard);
        let written = written.lock().unwrap();
        assert!(String::from_utf8_lossy(&written).contains("log lines were dropped"));
    }
}

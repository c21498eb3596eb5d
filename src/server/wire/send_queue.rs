//! What the body of a response leaves for the stream of its connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::server::connections::RunningRequest;
use crate::store::FileRange;
use crate::telemetry::access::Exchange;

/// Recognises a file chunk among the slices of a vectored write: by address, not by content.
#[derive(Debug)]
pub(super) struct FileToken([u8; 16]);

impl FileToken {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self([0; 16]))
    }

    /// The slice that stands for the file.
    pub(super) fn slice(&self) -> &[u8] {
        &self.0
    }

    fn is(&self, slice: &[u8]) -> bool {
        std::ptr::eq(self.0.as_ptr(), slice.as_ptr())
    }
}

/// A file that waits to be sent.
#[derive(Debug)]
pub(super) struct PendingFile {
    pub(super) token: Arc<FileToken>,
    /// What is still to be sent.
    pub(super) rest: FileRange,
    pub(super) request: Box<PendingRequest>,
}

/// What lasts as long as a request is under way: until the last byte of its answer has left, or its
/// connection has ended.
///
/// Boxed from its beginning on: hyper moves an answer many times.
#[derive(Debug)]
pub struct PendingRequest {
    /// Its record.
    pub exchange: Exchange,
    /// Its place among those of the connection.
    pub running: RunningRequest,
}

/// Shared by one connection's responses (which fill it) and its stream (which empties it).
///
/// HTTP/1 answers in order, so a queue is enough; it holds more than one file only for pipelined
/// requests.
#[derive(Debug, Clone, Default)]
pub struct SendQueue(Arc<SendQueueInner>);

#[derive(Debug, Default)]
struct SendQueueInner {
    files: Mutex<VecDeque<PendingFile>>,
    linger: AtomicBool,
}

impl SendQueue {
    /// Whether the stream is to keep reading for a while if this answer is the last one, because the client is
    /// still sending: closing at once would reset the connection, and the client would never read
    /// the answer (RFC 9112, section 9.6).
    pub fn linger(&self, still_sending: bool) {
        self.0.linger.store(still_sending, Ordering::Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.0.linger.load(Ordering::Relaxed)
    }

    pub(super) fn push(&self, file: PendingFile) {
        self.files().push_back(file);
    }

    /// The file that `slice` stands for, if it is the token of the next file.
    pub(super) fn file_for(&self, slice: &[u8]) -> Option<FileRange> {
        let files = self.files();
        let next = files.front()?;
        next.token.is(slice).then(|| next.rest.clone())
    }

    /// Notes that `sent` bytes of the next file are on their way.
    pub(super) fn advance(&self, sent: u64) {
        let mut files = self.files();
        let Some(next) = files.front_mut() else { return };
        next.rest.advance(sent);
        next.request.exchange.sending(sent);
        if next.rest.is_empty() {
            let done = files.pop_front();
            drop(files);
            // Closes the record of the request, which needs nothing of the queue.
            drop(done);
        }
    }

    /// For somebody who watches the connection and outlives it.
    pub fn watch(&self) -> SendQueueWatch {
        SendQueueWatch(Arc::downgrade(&self.0))
    }

    /// Never held across an await or a system call.
    fn files(&self) -> MutexGuard<'_, VecDeque<PendingFile>> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`SendQueue::watch`].
#[derive(Debug)]
pub struct SendQueueWatch(Weak<SendQueueInner>);

impl SendQueueWatch {
    /// Whether a file is being sent whose room others wait for.
    pub fn is_wanted(&self) -> bool {
        let Some(queue) = self.0.upgrade() else {
            return false;
        };
        let queue = SendQueue(queue);
        queue.files().iter().any(|file| file.rest.is_wanted())
    }
}

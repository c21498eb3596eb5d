//! The stream of one connection: a socket that can also send files.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::coalesce;
use super::readiness::Readiness;
use super::send_buffer::{LargeSendBuffers, SendBuffer};
use super::send_queue::SendQueue;
use crate::server::connections::Activity;
use crate::store::FileRange;
use crate::store::memory::MemoryAccount;
use crate::sys;

/// An accepted socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP, v4 or v6.
    Tcp(TcpStream),
    /// A socket in the file system.
    Unix(UnixStream),
}

/// Calls the same method on whichever socket it is.
macro_rules! each {
    ($socket:expr, $inner:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($inner) => $call,
            Socket::Unix($inner) => $call,
        }
    };
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, socket => socket.as_fd())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_read(cx, buffer))
    }
}

/// The byte stream that hyper sees.
#[derive(Debug)]
pub struct WireStream {
    socket: Socket,
    /// What was read before hyper began.
    early: Bytes,
    send_queue: SendQueue,
    activity: Activity,
    readiness: Readiness,
    /// Bytes of files sent since others had their turn.
    turn: u64,
    send_buffer: SendBuffer,
    memory: MemoryAccount,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl WireStream {
    /// Longest piece for one `sendfile`: long enough that the call is cheap beside the copy, and short enough that
    /// the kernel does not fill the buffer of a client that empties it at the same time: both then wait for one
    /// lock.
    const PIECE_BYTES: u64 = 512 * 1024;
    /// What a connection may send before the others have their turn: no connection holds a thread.
    const TURN_BYTES: u64 = 1 << 20;
    /// A `sendfile` of more than [`Self::MIN_TIMED_BYTES`] bytes that takes longer had to wait for the disk.
    const DISK_WAIT_THRESHOLD: Duration = Duration::from_millis(1);
    /// See [`Self::DISK_WAIT_THRESHOLD`].
    const MIN_TIMED_BYTES: u64 = 64 * 1024;
    /// Most bytes that one read brings while memory is short: hyper then keeps its buffers that small.
    const SHORT_READ_BYTES: usize = 16 * 1024;
    /// How long a closing connection keeps reading what the client still sends.
    const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

    /// Wraps an accepted socket, of which `early` was read before; the responses of this connection share
    /// `send_queue`.
    pub fn new(
        (socket, early): (Socket, Bytes),
        send_queue: SendQueue,
        activity: Activity,
        send_buffers: LargeSendBuffers,
        memory: MemoryAccount,
    ) -> Self {
        Self {
            socket,
            early,
            send_queue,
            activity,
            readiness: Readiness::default(),
            turn: 0,
            send_buffer: SendBuffer::of(send_buffers),
            memory,
            lingering: None,
        }
    }

    fn poll_write_slices(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let socket = &mut self.socket;
        let written = coalesce::short(
            slices,
            |bytes| each!(&mut *socket, socket => Pin::new(socket).poll_write(cx, bytes)),
        )
        .unwrap_or_else(|| each!(socket, socket => Pin::new(socket).poll_write_vectored(cx, slices)));
        self.activity.touch();
        written
    }

    /// Sends `head` and a short file in one piece; `None` if that is not possible now.
    fn poll_write_copied(
        &mut self,
        cx: &mut Context<'_>,
        head: &[IoSlice<'_>],
        part: &FileRange,
    ) -> Option<Poll<io::Result<usize>>> {
        let socket = &mut self.socket;
        let written = coalesce::with_file(
            head,
            part,
            |bytes| each!(socket, socket => Pin::new(socket).poll_write(cx, bytes)),
        )?;
        if let Poll::Ready(Ok(written)) = written {
            self.activity.sent(written as u64);
            let head: usize = head.iter().map(|slice| slice.len()).sum();
            self.send_queue.advance(written.saturating_sub(head) as u64);
        }
        Some(written)
    }

    /// Sends the next piece of `part`; first brings it into the page cache if it is cold.
    fn poll_send_file(&mut self, cx: &mut Context<'_>, part: &FileRange) -> Poll<io::Result<usize>> {
        if self.turn >= Self::TURN_BYTES {
            self.turn = 0;
            // hyper asks once more in the same poll of the task, and then finds its share used up, too.
            ready!(poll_give_way(cx));
        }
        let length = ready!(self.readiness.poll_length(cx, part, Self::PIECE_BYTES))?;
        if let Socket::Tcp(socket) = &self.socket {
            self.send_buffer.suit(socket, part.len());
        }
        let mut took = Duration::ZERO;
        let sent = ready!(self.poll_writable(cx, || {
            // To look at the clock costs a short piece one percent, and a long one nothing.
            let begin = (length > Self::MIN_TIMED_BYTES).then(Instant::now);
            let sent = sys::send_file(&self.socket, part.file(), part.start(), length as usize);
            took = begin.map_or(Duration::ZERO, |begin| begin.elapsed());
            sent
        }))?;
        if took > Self::DISK_WAIT_THRESHOLD {
            part.waited(length);
        }
        if sent == 0 {
            self.readiness.torn(part, length);
            return self.poll_send_file(cx, part);
        }
        self.activity.sent(sent as u64);
        self.send_queue.advance(sent as u64);
        self.turn += sent as u64;
        if sent as u64 == part.len() {
            // The next answer begins anew.
            self.turn = 0;
            self.send_buffer.leave();
        }
        Poll::Ready(Ok(sent))
    }

    /// Runs `write` once the socket takes bytes.
    fn poll_writable(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let done = each!(&self.socket, socket => {
                ready!(socket.poll_write_ready(cx))?;
                socket.try_io(Interest::WRITABLE, &mut write)
            });
            match done {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Reads a part of what there is.
    fn poll_read_short(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(Self::SHORT_READ_BYTES));
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }

    /// Reads and drops what the client still sends, until it stops or the time is over.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self
            .lingering
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + Self::LINGER_TIMEOUT)));
        let mut waste = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            match each!(&mut self.socket, socket => Pin::new(socket).poll_read(cx, &mut buffer)) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return deadline.as_mut().poll(cx),
            }
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
    }
}

/// Uses up what the task may do before others have their turn.
fn poll_give_way(cx: &mut Context<'_>) -> Poll<()> {
    loop {
        ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
    }
}

impl AsyncRead for WireStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.activity.touch();
        let before = buffer.filled().len();
        if !self.early.is_empty() {
            let length = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(length));
        } else if self.memory.is_tight() && buffer.remaining() > Self::SHORT_READ_BYTES {
            ready!(self.poll_read_short(cx, buffer))?;
        } else {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        }
        Poll::Ready(self.activity.heard(&buffer.filled()[before..]))
    }
}

impl AsyncWrite for WireStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(&mut self.socket, socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let file = slices
            .iter()
            .enumerate()
            .find_map(|(at, slice)| Some((at, this.send_queue.file_for(slice)?)));
        let Some((at, part)) = file else {
            return this.poll_write_slices(cx, slices);
        };
        // Not the rest of one that `sendfile` has begun.
        if at > 0
            && let Some(written) = this.poll_write_copied(cx, &slices[..at], &part)
        {
            return written;
        }
        match at {
            0 => this.poll_send_file(cx, &part),
            // The header leaves alone. Held back to share a packet with the file (`MSG_MORE`), it costs
            // two to four times the CPU time of a large file (Linux 6.18).
            _ => this.poll_write_slices(cx, &slices[..at]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this whenever it was polled, also while a request is answered.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.look_at_client(|| sys::peer_of(&self.socket));
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(each!(&mut this.socket, socket => Pin::new(socket).poll_shutdown(cx)))?;
        }
        if this.send_queue.lingers() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

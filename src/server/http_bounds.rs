//! What hyper may take for one connection.

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;

use crate::tasks::Tasks;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct HttpBounds {
    /// hyper's read buffer of HTTP/1 grows up to this many bytes.
    pub(super) read_buffer: usize,
    /// Largest head of an HTTP/2 request, in bytes.
    pub(super) http2_head: u32,
    /// Bytes that an HTTP/2 peer may send ahead for one stream, and for all streams of a connection.
    pub(super) http2_windows: (u32, u32),
    /// Requests of an HTTP/2 connection at once.
    pub(super) http2_streams: u32,
}

impl HttpBounds {
    /// What serves a connection within these bounds.
    pub(super) fn builder(&self, tasks: &Tasks) -> auto::Builder<Tasks> {
        let mut builder = auto::Builder::new(tasks.clone());
        builder
            .http1()
            // Connections that idle are found by `connections`.
            .header_read_timeout(None)
            .max_buf_size(self.read_buffer)
            // Otherwise hyper reads while a request is answered, to notice a client that leaves. Each such read
            // takes a buffer of its own, since the request still holds the first. The write notices a client
            // that has left, and a client that has only ended its side still gets its answer.
            .half_close(true)
            .writev(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(self.http2_head)
            .initial_stream_window_size(self.http2_windows.0)
            .initial_connection_window_size(self.http2_windows.1)
            .max_concurrent_streams(self.http2_streams);
        builder
    }
}

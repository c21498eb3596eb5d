//! Everything that is special to one operating system, each with a portable fallback.
//!
//! No `unsafe`: the calls go through `rustix` and the standard library.

mod file;
mod limits;

pub use file::{
    CAN_SEND_FILE, create_private_dir, is_resident, punch_hole, read_at_nowait, read_exact_at, read_through,
    send_file, write_all_vectored_at,
};
pub use limits::{PAGE, block_bytes, link_count, open_file_limit, raise_open_file_limit, volume_size};

/// Runs blocking work on the runtime's pool. Only for work whose end the caller awaits or whose
/// loss is harmless; everything else goes through [`crate::tasks::Tasks::spawn_blocking`].
#[expect(
    clippy::disallowed_methods,
    reason = "the one helper for awaited blocking work"
)]
pub fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Lets the kernel find out that the peer of an idle connection is gone (its machine died), so that
/// the connection does not stay for ever. Best effort.
pub fn keep_alive(socket: impl std::os::fd::AsFd) {
    use rustix::net::sockopt;
    use std::time::Duration;
    let socket = socket.as_fd();
    sockopt::set_socket_keepalive(socket, true).ok();
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(socket, Duration::from_secs(60)).ok();
        sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15)).ok();
        sockopt::set_tcp_keepcnt(socket, 4).ok();
        // Data that the peer does not acknowledge for this long (milliseconds) ends the connection.
        sockopt::set_tcp_user_timeout(socket, 120_000).ok();
    }
}

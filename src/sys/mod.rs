//! Everything that is special to one operating system, each with a fallback for the others with Unix.
//!
//! No `unsafe`: the calls go through `rustix` and the standard library.

mod file;
mod memory;
mod socket;

pub use file::{
    CAN_SEND_FILE, PAGE, block_bytes, boot_id, create_private_dir, if_exists, is_own, is_resident,
    is_superuser, is_unreadable, link_count, open_file_limit, open_private, path_block_bytes, punch_hole,
    raise_open_file_limit, read_at_nowait, read_exact_at, read_through, replace_file, send_file,
    tells_residency, volume_free, volume_size, volume_unused, write_all_vectored_at,
};
pub use memory::memory_size;
pub use socket::{Peer, SendBufferLimits, keep_alive, peer_of, set_send_buffer};

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

/// Runs work that is short for short input at once, and else on the runtime's pool.
///
/// # Errors
/// As [`run_blocking`]: it panicked, or the runtime ends.
pub async fn run_sized<T: Send + 'static>(
    is_short: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    match is_short {
        true => Ok(work()),
        false => run_blocking(work).await,
    }
}

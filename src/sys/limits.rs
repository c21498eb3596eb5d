//! Limits of the process and the file system.

use std::fs::Metadata;
use std::path::Path;

/// Size of a page of memory. Only used to place residency probes, so the common value is enough.
pub const PAGE: u64 = 4096;

/// How many files this process may hold open.
#[cfg(unix)]
pub fn open_file_limit() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// Lets this process hold as many files open as the system allows it: a server is often started with
/// a limit meant for interactive programs. Best effort.
#[cfg(unix)]
pub fn raise_open_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum {
        // A system that refuses leaves us where we were.
        setrlimit(Resource::Nofile, raised).ok();
    }
}

/// Nothing to raise here.
#[cfg(not(unix))]
pub fn raise_open_file_limit() {}

/// How many files this process may hold open; a low guess where it cannot be asked.
#[cfg(not(unix))]
pub fn open_file_limit() -> u64 {
    512
}

/// Bytes that a file or directory takes on its volume, as `du` counts them.
#[cfg(unix)]
pub fn block_bytes(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks() * 512
}

/// Bytes that a file takes, as far as can be known here.
#[cfg(not(unix))]
pub fn block_bytes(metadata: &Metadata) -> u64 {
    metadata.len()
}

/// The same for what is at `path`; `None` if there is nothing.
pub fn path_block_bytes(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| block_bytes(&metadata))
}

/// How many names a file has; 0 means that it is unlinked.
#[cfg(unix)]
pub fn link_count(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink()
}

/// How many names a file has; cannot be asked here, so one.
#[cfg(not(unix))]
pub fn link_count(_metadata: &Metadata) -> u64 {
    1
}

/// Size in bytes of the volume that holds `path`; `None` if it cannot be asked.
#[cfg(unix)]
pub fn volume_size(path: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some(volume.f_blocks.saturating_mul(volume.f_frsize))
}

/// Size in bytes of the volume that holds `path`; cannot be asked here.
#[cfg(not(unix))]
pub fn volume_size(_path: &Path) -> Option<u64> {
    None
}

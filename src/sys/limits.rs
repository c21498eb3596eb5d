//! Limits of the process and the file system.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Size of a page of memory. Only used to place residency probes, so the common value is enough.
pub const PAGE: u64 = 4096;

/// How many files this process may hold open.
pub fn open_file_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// Lets this process hold as many files open as the system allows it: a server is often started with
/// a limit meant for interactive programs. Best effort.
pub fn raise_open_file_limit() {
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

/// Bytes that a file or directory takes on its volume, as `du` counts them.
pub fn block_bytes(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

/// The same for what is at `path`; `None` if there is nothing.
pub fn path_block_bytes(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| block_bytes(&metadata))
}

/// How many names a file has; 0 means that it is unlinked.
pub fn link_count(metadata: &Metadata) -> u64 {
    metadata.nlink()
}

/// Size in bytes of the volume that holds `path`; `None` if it cannot be asked.
pub fn volume_size(path: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some(volume.f_blocks.saturating_mul(volume.f_frsize))
}

//! Why the local tier cannot start.

use std::io;
use std::path::PathBuf;

/// Why the directory of the tier cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskOpenError {
    /// The key names something else.
    #[error("{key}: {path} is not a directory; name a directory, it is made if it does not exist")]
    NotADirectory {
        /// The key of the configuration.
        key: &'static str,
        /// The configured path.
        path: PathBuf,
    },
    /// It names a link, perhaps into a volume that is not mounted.
    #[error(
        "{key}: {path} is a link to {target}, which does not exist; make that directory, \
         mount its volume, or name another directory"
    )]
    Dangling {
        /// The key of the configuration.
        key: &'static str,
        /// The configured path.
        path: PathBuf,
        /// Where the link leads.
        target: PathBuf,
    },
    /// The operating system refused.
    #[error("{key}: cannot {action} {path}: {source}; the directory must be writable for this user")]
    Unusable {
        /// The key of the configuration.
        key: &'static str,
        /// What was tried.
        action: &'static str,
        /// Where it was tried.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// Another server works there.
    #[error(
        "{key}: {path} is in use by another running server{}; stop it, or name another directory \
         (lock file: {})", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), lock.display()
    )]
    InUse {
        /// The key of the configuration.
        key: &'static str,
        /// The configured path.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// The process that holds it.
        pid: Option<u32>,
    },
    /// A later version of this program was here.
    #[error(
        "{key}: {path} has format {found}, this version knows formats up to {known}; \
         use the newer version again, or empty the directory"
    )]
    Newer {
        /// The key of the configuration.
        key: &'static str,
        /// The configured path.
        path: PathBuf,
        /// The format on the disk.
        found: u32,
        /// The newest known format.
        known: u32,
    },
    /// The directory holds something else: files there would be removed.
    #[error("{key}: {path} is not a cache directory, it holds {found}; name an empty or a new directory")]
    Foreign {
        /// The key of the configuration.
        key: &'static str,
        /// The configured path.
        path: PathBuf,
        /// One of the names in it.
        found: String,
    },
    /// The server stops before it has begun.
    #[error("the server is shutting down")]
    Stopping,
}

//! The remote tier in a bucket of S3, or of a server that speaks its protocol.
//!
//! - One object for each entry ([`object`]): the body from offset 0, its description in user metadata or in
//!   a trailer. An object whose description is that of another entry is an error, never served.
//! - A read is one request for whatever is not longer than a part ([`read`]); more of the same version is
//!   asked for by its ETag. Every body has its length checked and may not pause for long ([`stream`]).
//! - A write is sent before it is made visible ([`upload`]), from where its bytes are, so that it can be
//!   sent again. A condition is held against our tag, and a race is decided by S3.
//! - What a crash leaves in the bucket is found again ([`notes`], [`sweep`]).
//! - What servers share beside the entries are small objects ([`shared`]).
//! - Every request needs a permit of `s3.max_concurrency` ([`permits`]), and a server that cannot be used is
//!   given a rest ([`health`]) until a probe finds it back ([`probe`]).
//! - Stores that can do less than S3 are made do with ([`abilities`]).

mod abilities;
mod attempts;
mod client;
mod clock;
mod core;
mod enter;
mod error;
mod examine;
mod health;
mod http;
mod notes;
mod object;
mod permits;
mod probe;
mod read;
mod retry;
mod shared;
mod stats;
mod stream;
mod sweep;
mod tier;
mod upload;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use stats::S3Stats;

use self::abilities::Abilities;
use self::attempts::AttemptWatch;
use self::clock::StoreClock;
use self::core::Core;
use self::health::Health;
use self::notes::{MultipartNote, MultipartNotes};
use self::permits::Permits;
use self::stats::Counters;
use crate::config::S3Config;
use crate::tasks::Tasks;

/// Why the tier cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum S3OpenError {
    /// The notes about multipart uploads cannot be kept.
    #[error("cannot keep notes about uploads in {path}: {source}; it must be writable for this user")]
    Notes {
        /// The folder.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// `s3.ca_file` cannot be used.
    #[error("s3.ca_file: {0}")]
    CaFile(Box<dyn std::error::Error + Send + Sync>),
    /// `outbound_proxy_file` cannot be used.
    #[error("outbound_proxy_file: {0}")]
    Proxy(Box<dyn std::error::Error + Send + Sync>),
    /// The server stops before it has begun.
    #[error("the server is shutting down")]
    Stopping,
}

/// The remote tier. See the module.
#[derive(Debug)]
pub struct S3 {
    core: Arc<Core>,
}

impl S3 {
    /// Sets the client up and starts the background tasks. Sends S3 nothing: see [`tier`].
    /// `notes` is a folder of this process alone, for notes about multipart uploads under way; without
    /// one, what a crash leaves in the bucket stays for a day.
    ///
    /// # Errors
    /// [`S3OpenError`] names the key of the configuration and the remedy.
    pub async fn open(
        config: &S3Config,
        notes: Option<PathBuf>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, S3OpenError> {
        Self::open_through(None, config, notes, tasks).await
    }

    /// The same through the proxy that a file names (`outbound_proxy_file`).
    ///
    /// # Errors
    /// As [`S3::open`].
    pub async fn open_through(
        proxy_file: Option<&Path>,
        config: &S3Config,
        notes: Option<PathBuf>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, S3OpenError> {
        let http = http::client(proxy_file, config).await?;
        let (notes, left) = match notes {
            Some(folder) => open_notes(folder, tasks).await?,
            None => (None, Vec::new()),
        };
        let (health, clock) = (Arc::<Health>::default(), Arc::<StoreClock>::default());
        let watch = AttemptWatch {
            health: Arc::clone(&health),
            clock: Arc::clone(&clock),
        };
        let core = Arc::new(Core {
            client: client::connect(config, http, watch).await,
            permits: Permits::new(config.max_concurrency),
            config: config.clone(),
            health,
            clock,
            abilities: Abilities::default(),
            counters: Counters::default(),
            notes,
            tasks: tasks.clone(),
        });
        drop(tasks.spawn(sweep::abort_noted(Arc::clone(&core), left)));
        drop(tasks.spawn(sweep::run(Arc::clone(&core))));
        Ok(Arc::new(Self { core }))
    }

    /// Figures of this moment.
    pub fn stats(&self) -> S3Stats {
        let core = &self.core;
        core.counters
            .snapshot(core.permits.figures(), core.abilities.lacking())
    }
}

async fn open_notes(
    folder: PathBuf,
    tasks: &Tasks,
) -> Result<(Option<MultipartNotes>, Vec<MultipartNote>), S3OpenError> {
    let (path, own_tasks) = (folder.clone(), tasks.clone());
    let opening = tasks.spawn_blocking(move || MultipartNotes::open(folder, &own_tasks));
    match opening.await {
        Ok(Ok((notes, left))) => Ok((Some(notes), left)),
        Ok(Err(source)) => Err(S3OpenError::Notes { path, source }),
        Err(_) => Err(S3OpenError::Stopping),
    }
}

//! Whether the directory can be used: looked at every few seconds, because a dead disk, a volume that is no longer
//! mounted and a directory that somebody emptied all look like a cache that misses.
//!
//! A directory that was emptied becomes ours again, and what is gone leaves the index. On another volume than at the
//! start nothing is made: it would fill a disk that nobody meant.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::core::DiskCore;
use super::layout::TopName;
use super::{open, recover};
use crate::store::lock::LockError;
use crate::sys;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(2);
/// A look that takes longer says that the disk does not answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The empty file that a look makes and removes.
const PROBE_FILE: &str = "probe";

/// Why the directory cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskFault {
    /// The operating system refuses to read or write.
    #[error("reading or writing fails ({0}); check the volume, then restart if it was mounted anew")]
    Failing(String),
    /// A look did not come back.
    #[error("the volume has not answered for {} s; check it", TIMEOUT.as_secs())]
    Silent,
    /// Another volume is there than at the start.
    #[error("another volume is there than at the start; mount the former one again, or restart the server")]
    OtherVolume,
    /// The lock file was replaced, and another process holds the new one.
    #[error("another process has taken the directory over; stop one of the two servers")]
    TakenOver,
}

/// What the last look found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DiskHealth {
    /// The directory can be used.
    #[default]
    Up,
    /// It cannot.
    Down {
        /// Why, with the remedy.
        fault: DiskFault,
        /// Since when.
        since: SystemTime,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct HealthCheck {
    last: Mutex<DiskHealth>,
    /// The volume of the start.
    volume: u64,
}

impl HealthCheck {
    /// `volume`: the device of the directory.
    pub(super) fn new(volume: u64) -> Self {
        Self {
            last: Mutex::default(),
            volume,
        }
    }

    pub(super) fn last(&self) -> DiskHealth {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, found: Result<(), DiskFault>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match &*last {
            DiskHealth::Down { since, .. } => *since,
            DiskHealth::Up => SystemTime::now(),
        };
        *last = match found {
            Ok(()) => DiskHealth::Up,
            Err(fault) => DiskHealth::Down { fault, since },
        };
    }
}

/// Looks until the tier is closed.
pub(super) async fn run(core: Arc<DiskCore>) {
    let mut looks = interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let Ok(pass) = core.enter() else { return };
        let (owned, began) = (Arc::clone(&core), SystemTime::now());
        // The pass ends with the look, so that a close waits for it.
        let look = core.tasks.spawn_blocking(move || {
            let found = look(&owned);
            drop(pass);
            found
        });
        tokio::pin!(look);
        let found = match timeout(TIMEOUT, &mut look).await {
            Ok(found) => found,
            Err(_) => {
                tracing::debug!(?began, "a look at the cache directory has not come back");
                core.health.note(Err(DiskFault::Silent));
                // No second look is sent after one that hangs.
                tokio::select! {
                    () = core.stop.cancelled() => return,
                    found = look => found,
                }
            }
        };
        match found {
            Ok(found) => core.health.note(found),
            Err(_) => return,
        }
    }
}

/// Blocking: one look.
fn look(core: &Arc<DiskCore>) -> Result<(), DiskFault> {
    if is_emptied(core)? {
        make_again(core)?;
        // Everything that is gone leaves the index; what is there stays.
        recover::forget_lost(core);
    }
    probe(core).map_err(failing)
}

fn failing(error: io::Error) -> DiskFault {
    DiskFault::Failing(error.to_string())
}

/// Whether marks of this server are missing at the top of the directory.
fn is_emptied(core: &DiskCore) -> Result<bool, DiskFault> {
    let root = sys::if_exists(fs::metadata(core.layout.root())).map_err(failing)?;
    match root {
        Some(root) if root.dev() != core.health.volume => return Err(DiskFault::OtherVolume),
        Some(_) => {}
        None => return Ok(true),
    }
    let format = sys::if_exists(fs::symlink_metadata(core.layout.format())).map_err(failing)?;
    let locked = core.lock.is_at(&core.layout.lock()).map_err(failing)?;
    Ok(format.is_none() || !locked)
}

/// Blocking: sees to it that the next start takes the directory for ours, if it was emptied a moment ago.
pub(super) fn stay_ours(core: &DiskCore) {
    if matches!(is_emptied(core), Ok(true))
        && let Err(fault) = make_again(core)
    {
        tracing::warn!("{}: {fault}", core.role.dir_key());
    }
}

/// Makes the directory ours once more.
fn make_again(core: &DiskCore) -> Result<(), DiskFault> {
    let (layout, role) = (&core.layout, core.role);
    role.make(layout.root()).map_err(failing)?;
    // It may have been the mount point of a volume that is gone.
    if fs::metadata(layout.root()).map_err(failing)?.dev() != core.health.volume {
        return Err(DiskFault::OtherVolume);
    }
    core.lock
        .retake(&layout.lock())
        .map_err(|refused| match refused {
            LockError::Held(_) => DiskFault::TakenOver,
            LockError::Io(error) => failing(error),
        })?;
    open::write_format(layout).map_err(failing)?;
    for name in [TopName::Entries, TopName::Tmp] {
        role.make_folder(&layout.path(name)).map_err(failing)?;
    }
    tracing::warn!(
        "{}: the directory was emptied while the server runs; the entries are gone, and it goes on",
        role.dir_key()
    );
    Ok(())
}

/// Makes and removes an empty file, which takes no room. A full volume is no fault.
fn probe(core: &DiskCore) -> io::Result<()> {
    let folder = core.layout.path(TopName::Tmp);
    core.role.make_folder(&folder)?;
    let path = folder.join(PROBE_FILE);
    sys::if_exists(fs::remove_file(&path))?;
    let made = File::create_new(&path).map(drop);
    sys::if_exists(fs::remove_file(&path))?;
    match made {
        Err(error) if is_full(&error) => Ok(()),
        other => other,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

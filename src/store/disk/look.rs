//! Looks at the directory every few seconds, because a dead disk, a volume that is no longer mounted and a directory
//! that somebody emptied all look like a cache that misses.
//!
//! A directory that was emptied becomes ours again, and what is gone leaves the index. On another volume than at the
//! start nothing is made: it would fill a disk that nobody meant.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::core::DiskCore;
use super::health::{DiskFault, LOOK_TIMEOUT};
use super::layout::TopName;
use super::{private, recover};
use crate::store::lock::LockError;
use crate::sys;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(2);
/// The empty file that a look makes and removes.
const PROBE_FILE: &str = "probe";

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
        let found = match timeout(LOOK_TIMEOUT, &mut look).await {
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

impl DiskCore {
    /// Blocking: sees to it that the next start takes the directory for ours, if it was emptied a moment ago.
    pub(super) fn stay_ours(&self) {
        if matches!(is_emptied(self), Ok(true))
            && let Err(fault) = make_again(self)
        {
            tracing::warn!("{}: {fault}", self.role.dir_key());
        }
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
    private::write_format(layout).map_err(failing)?;
    for name in [TopName::Entries, TopName::Tmp] {
        sys::create_private_dir(&layout.path(name)).map_err(failing)?;
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
    sys::create_private_dir(&folder)?;
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

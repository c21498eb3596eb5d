//! A temporary file that removes itself.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::SpoolDir;
use crate::store::budget::{FileHold, OpenFile, Reservation};
use crate::store::content::{EntryFile, FileHolder};
use crate::sys;

/// A file in the spool folder. Dropped before [`Temp::keep`], it is unlinked, and only then its room
/// is given back.
#[derive(Debug)]
pub(crate) struct Temp {
    path: PathBuf,
    file: Arc<OpenFile>,
    /// The length that the file was given.
    length: AtomicU64,
    dir: SpoolDir,
    room: Arc<Reservation>,
    kept: AtomicBool,
    /// Who has another link to the file.
    owner: Option<Arc<dyn LinkOwner>>,
}

/// The owner of a file to which a spool has a second link: the file can be put into a tier, and is still there if
/// that fails.
pub(crate) trait LinkOwner: std::fmt::Debug + Send + Sync {
    /// The second link is about to be removed.
    fn unlinking(&self);

    /// Blocking: it is removed. `room` is what was given with the file; what is not taken out of it is free.
    fn unlinked(&self, room: &Reservation);
}

impl Temp {
    /// Blocking: makes an empty file.
    pub(crate) fn create(dir: &SpoolDir, room: &Arc<Reservation>) -> io::Result<Self> {
        let path = dir.next_path();
        let make = || {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
        };
        let file = FileHold::new(dir.budget()).open(|| match sys::if_exists(make())? {
            Some(file) => Ok(file),
            None => {
                // A cleaner of temporary files has removed the empty folder.
                dir.make_again()?;
                make()
            }
        })?;
        Ok(Self::made(dir, room, path, file, None))
    }

    /// Blocking: a second link to `file`, whose first one is `from`.
    /// Fails above all where there are no hard links.
    pub(crate) fn linked(
        dir: &SpoolDir,
        room: &Arc<Reservation>,
        (from, file): (&Path, OpenFile),
        owner: Arc<dyn LinkOwner>,
    ) -> io::Result<Self> {
        let path = dir.next_path();
        std::fs::hard_link(from, &path)?;
        Ok(Self::made(dir, room, path, file, Some(owner)))
    }

    fn made(
        dir: &SpoolDir,
        room: &Arc<Reservation>,
        path: PathBuf,
        file: OpenFile,
        owner: Option<Arc<dyn LinkOwner>>,
    ) -> Self {
        let this = Self {
            path,
            file: Arc::new(file),
            length: AtomicU64::new(0),
            dir: dir.clone(),
            room: Arc::clone(room),
            kept: AtomicBool::new(false),
            owner,
        };
        dir.file_made();
        this
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &Arc<OpenFile> {
        &self.file
    }

    /// Blocking: gives the file at least this length before its bytes are written. Some file systems (XFS) take more
    /// room than a file has bytes, up to twice as much, for one that grows with each write.
    pub(crate) fn lengthen(&self, length: u64) -> io::Result<()> {
        if self.length.load(Ordering::Relaxed) < length {
            self.set_length(length)?;
        }
        Ok(())
    }

    /// Blocking: gives the file exactly this length.
    pub(crate) fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length.store(length, Ordering::Relaxed);
        Ok(())
    }

    /// The file has got another name: it is no longer ours to remove.
    pub(crate) fn keep(&self) {
        if !self.kept.swap(true, Ordering::Relaxed) {
            self.dir.file_gone();
        }
    }

    /// Blocking: removes the file now, for those who will need its room at once.
    pub(crate) fn remove(&self) {
        let _gone = std::fs::remove_file(&self.path);
        self.keep();
    }

    pub(super) fn entry_file(&self) -> Arc<dyn EntryFile> {
        fresh(&self.file)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if self.kept.load(Ordering::Relaxed) {
            return;
        }
        let path = std::mem::take(&mut self.path);
        let (file, room, dir) = (Arc::clone(&self.file), Arc::clone(&self.room), self.dir.clone());
        let owner = self.owner.take();
        if let Some(owner) = &owner {
            owner.unlinking();
        }
        let remove = move || {
            // What cannot be removed now is removed at the next start.
            let _gone = std::fs::remove_file(path);
            // Closed after the unlink, here: the last close frees the room on the volume.
            let (hold, left) = (Arc::clone(file.hold()), file.metadata());
            drop(file);
            if let Ok(left) = left
                && sys::link_count(&left) == 0
            {
                hold.unlinked(sys::block_bytes(&left).min(room.bytes()));
            }
            dir.file_gone();
            if let Some(owner) = owner {
                owner.unlinked(&room);
            }
            drop(room);
        };
        // Unlinking a large file takes long: not on a thread that serves others.
        if tokio::runtime::Handle::try_current().is_ok() {
            let tasks = self.dir.tasks().clone();
            drop(tasks.spawn_blocking(remove));
        } else {
            remove();
        }
    }
}

/// The bytes of a file that this process has written a moment ago: they are not checked again.
pub(crate) fn fresh(file: &Arc<OpenFile>) -> Arc<dyn EntryFile> {
    Arc::new(OpenSpool(Arc::clone(file)))
}

/// See [`fresh`].
#[derive(Debug)]
struct OpenSpool(Arc<OpenFile>);

impl EntryFile for OpenSpool {
    fn file(&self) -> &File {
        &self.0
    }

    fn verified(&self, _range: Range<u64>) -> bool {
        true
    }

    fn verify(&self, range: Range<u64>) -> io::Result<()> {
        sys::read_through(&self.0, range)
    }

    fn holder(&self) -> Option<&dyn FileHolder> {
        Some(&**self.0.hold())
    }
}

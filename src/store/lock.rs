//! One server per directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::sys;

/// Holds the lock file until it is released or dropped; the kernel releases it when the process dies.
#[derive(Debug)]
pub(crate) struct DirLock(Mutex<Option<File>>);

/// Why the lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another server holds it; its process id, if it could be read.
    Held(Option<u32>),
    Io(io::Error),
}

impl DirLock {
    /// Blocking: takes the lock, or says which process has it.
    pub(crate) fn take(path: &Path) -> Result<Self, LockError> {
        Self::locked(path).map(|file| Self(Mutex::new(Some(file))))
    }

    /// Blocking: takes the lock of a directory that lost its lock file.
    pub(crate) fn retake(&self, path: &Path) -> Result<(), LockError> {
        if self.is_at(path).map_err(LockError::Io)? {
            return Ok(());
        }
        let file = Self::locked(path)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    /// Blocking: whether the file at `path` is the one that is held.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let Some(found) = sys::if_exists(fs::symlink_metadata(path))? else {
            return Ok(false);
        };
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().map(File::metadata).transpose()?;
        Ok(held.is_some_and(|held| (held.dev(), held.ino()) == (found.dev(), found.ino())))
    }

    fn locked(path: &Path) -> Result<File, LockError> {
        let mut file = sys::open_private(path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The pid is for the operator only.
                let _unreadable = file.read_to_string(&mut text);
                return Err(LockError::Held(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        write_pid(&mut file).map_err(LockError::Io)?;
        Ok(file)
    }

    /// Lets another process take the directory.
    pub(crate) fn release(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

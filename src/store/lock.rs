//! One server per directory.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(LockError::Io)?;
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
        Ok(Self(Mutex::new(Some(file))))
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

//! A body of known length that arrives in any order: parts of a remote object.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::dir::room_for;
use super::{Checksums, Spool, SpoolBody, SpoolDir, Temp};
use crate::store::budget::{Ask, Reservation};
use crate::store::{Error, Result};
use crate::sys;

/// A temporary file of a known length with room for all of it. Dropped before [`Growth::finish`], it is
/// removed when its last reader has closed it.
#[derive(Debug)]
pub(crate) struct Growth {
    temp: Arc<Temp>,
    room: Arc<Reservation>,
}

impl SpoolDir {
    /// Begins a body of `size` bytes. Waits for eviction as [`SpoolDir::create`] does; dropping the future
    /// gives up the place in the queue.
    ///
    /// # Errors
    /// As [`SpoolDir::create`], and [`Error::Io`].
    pub(crate) async fn grow(&self, size: u64) -> Result<Growth> {
        self.check_size(size)?;
        let room = Arc::new(self.budget().reserve(room_for(size), Ask::New).await?);
        let (dir, held) = (self.clone(), Arc::clone(&room));
        let hop = self.tasks().spawn_blocking(move || Temp::create(&dir, &held));
        let temp = hop
            .await
            .map_err(|_| Error::Stopping)?
            .map_err(|error| Error::io("making a temporary file", error))?;
        Ok(Growth {
            temp: Arc::new(temp),
            room,
        })
    }
}

impl Growth {
    /// The file; bytes once written never change.
    pub(crate) fn file(&self) -> &Arc<File> {
        self.temp.file()
    }

    /// Blocking: writes the next bytes of a part.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub(crate) fn write(&self, frames: &[Bytes], offset: u64) -> io::Result<()> {
        sys::write_all_vectored_at(self.temp.file(), frames, offset)
    }

    /// The whole body. `sums` are those of the bytes that were written.
    pub(crate) fn finish(&self, sums: Checksums) -> Spool {
        Spool::new(
            SpoolBody::File(Arc::clone(&self.temp)),
            sums,
            Arc::clone(&self.room),
        )
    }
}

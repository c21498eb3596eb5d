//! A durable note of every multipart upload that is under way, so that a start finds what a crash left.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys;
use crate::tasks::Tasks;

/// The folder with one file for each upload.
#[derive(Debug)]
pub(super) struct MultipartNotes {
    folder: PathBuf,
    tasks: Tasks,
}

/// What has to be known to abort an upload.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MultipartNote {
    /// The name of the object.
    pub(super) object: String,
    /// The name of the upload.
    pub(super) upload: String,
}

impl MultipartNotes {
    /// Blocking: makes the folder if it is not there, and reads what is in it.
    pub(super) fn open(folder: PathBuf, tasks: &Tasks) -> io::Result<(Self, Vec<MultipartNote>)> {
        sys::create_private_dir(&folder)?;
        let mut found = Vec::new();
        for file in fs::read_dir(&folder)? {
            let path = file?.path();
            match fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
                Ok(Ok(note)) => found.push(note),
                // Torn by a crash before the first part was sent.
                Ok(Err(_)) => remove(&path),
                Err(error) => return Err(error),
            }
        }
        let tasks = tasks.clone();
        Ok((Self { folder, tasks }, found))
    }

    /// Notes an upload; afterwards it is on the disk. Without the note it is found by the sweep, a day
    /// later, so a failure is only logged.
    pub(super) async fn note(&self, object: &str, upload: &str) {
        let note = MultipartNote {
            object: object.to_owned(),
            upload: upload.to_owned(),
        };
        let (folder, path) = (self.folder.clone(), self.path(upload));
        let written = sys::run_blocking(move || write(&folder, &path, &note)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "cannot note a multipart upload");
        }
    }

    /// The upload is gone.
    pub(super) fn forget(&self, upload: &str) {
        let path = self.path(upload);
        drop(self.tasks.spawn_blocking(move || remove(&path)));
    }

    fn path(&self, upload: &str) -> PathBuf {
        let hex = blake3::hash(upload.as_bytes()).to_hex();
        self.folder.join(&hex[..32])
    }
}

fn write(folder: &Path, path: &Path, note: &MultipartNote) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&serde_json::to_vec(note)?)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

/// What cannot be removed is found, and found to be done, at the next start.
fn remove(path: &Path) {
    let _gone = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_survive_until_they_are_forgotten() {
        let dir = tempfile::tempdir().expect("folder");
        let folder = dir.path().join("uploads");
        let tasks = Tasks::new();
        let (notes, found) = MultipartNotes::open(folder.clone(), &tasks).expect("open");
        assert!(found.is_empty());
        notes.note("v1/aa/bb", "one/../two").await;
        notes.note("v1/aa/cc", "three").await;
        fs::write(folder.join("torn"), "{\"obj").expect("write");
        let (_, found) = MultipartNotes::open(folder.clone(), &tasks).expect("open");
        assert_eq!(found.len(), 2);
        notes.forget("three");
        tasks.finish().await;
        let (_, found) = MultipartNotes::open(folder.clone(), &Tasks::new()).expect("open");
        let left = MultipartNote {
            object: "v1/aa/bb".into(),
            upload: "one/../two".into(),
        };
        assert_eq!(found, [left]);
        assert_eq!(fs::read_dir(folder).expect("folder").count(), 1);
    }
}

//! Key sets from a file, for issuers that cannot be reached.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::time::Instant;

use super::document::{self, PublishedKeys};
use super::fetch::{FetchError, FetchedKeys};
use super::keys::KeySet;
use crate::sys;

/// A key set on disk, for issuers that cannot be reached.
pub(super) struct KeyFile {
    path: PathBuf,
    /// The stamp of the file when it was last read whole.
    seen: Option<FileStamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    modified: SystemTime,
    length: u64,
}

impl KeyFile {
    const MAX_BYTES: u64 = 1024 * 1024;

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    pub(super) async fn fetch(&mut self) -> Result<FetchedKeys, FetchError> {
        let (path, seen) = (self.path.clone(), self.seen);
        let read = sys::run_blocking(move || read_if_changed(&path, seen)).await;
        let Some((stamp, body)) = read.map_err(io::Error::other)?? else {
            return Ok(FetchedKeys::Unchanged);
        };
        let set = document::key_set(&body)?;
        self.seen = Some(stamp);
        Ok(FetchedKeys::New(set, None))
    }
}

/// Blocking: the key set in a file.
fn read(path: &Path) -> Result<PublishedKeys, FetchError> {
    let read = read_if_changed(path, None)?;
    let body = read.map(|(_, body)| body).unwrap_or_default();
    Ok(document::key_set(&body)?)
}

fn read_if_changed(path: &Path, seen: Option<FileStamp>) -> io::Result<Option<(FileStamp, Vec<u8>)>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let stamp = FileStamp {
        modified: metadata.modified()?,
        length: metadata.len(),
    };
    if seen == Some(stamp) {
        return Ok(None);
    }
    if stamp.length > KeyFile::MAX_BYTES {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    let mut body = Vec::new();
    file.take(KeyFile::MAX_BYTES).read_to_end(&mut body)?;
    Ok(Some((stamp, body)))
}

/// Blocking: the error of a `jwks_file`, with the remedy; `None` if it can be used.
pub fn key_file_error(path: &Path) -> Option<String> {
    const KEY_SET_REMEDY: &str = "save there what the `jwks_uri` of the issuer answers, {\"keys\": [...]}";
    let usable = read(path).map(|published| KeySet::new(published, None, Instant::now()).len());
    let fault = match usable {
        Ok(1..) => return None,
        Ok(0) => format!("holds no key that can verify signatures; {KEY_SET_REMEDY}"),
        Err(FetchError::File(error)) if error.kind() == ErrorKind::NotFound => {
            format!("does not exist; correct the path, or {KEY_SET_REMEDY}")
        }
        Err(FetchError::File(error)) => {
            format!("cannot be read ({error}); check the file and its permissions")
        }
        Err(_) => format!("is not a key set; {KEY_SET_REMEDY}"),
    };
    Some(format!(
        "\"{}\" {fault}",
        path.display().to_string().escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_only_when_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.json");
        let mut file = KeyFile::new(path.clone());
        assert!(matches!(file.fetch().await, Err(FetchError::File(_))));
        std::fs::write(&path, r#"{"keys":[]}"#).unwrap();
        assert!(matches!(file.fetch().await, Ok(FetchedKeys::New(..))));
        assert!(matches!(file.fetch().await, Ok(FetchedKeys::Unchanged)));
        std::fs::write(&path, r#"{"keys":[ ]}"#).unwrap();
        assert!(matches!(file.fetch().await, Ok(FetchedKeys::New(..))));
        std::fs::write(&path, "half a file").unwrap();
        assert!(matches!(file.fetch().await, Err(FetchError::Document(_))));
        assert!(
            matches!(file.fetch().await, Err(FetchError::Document(_))),
            "it is tried again"
        );
    }
}

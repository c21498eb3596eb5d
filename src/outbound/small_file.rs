//! Small files that an operator names: certificates, tokens, the URL of a proxy.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// Why such a file cannot be used. Never holds what is in it. The text goes behind the path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SmallFileError {
    #[error("does not exist; correct the path, or make the file")]
    Missing,
    #[error("cannot be read ({0}); check the file and its permissions")]
    Read(io::Error),
    #[error("is larger than {0} bytes; it is another file than was meant")]
    TooLong(u64),
    #[error("holds no text; it is another file than was meant")]
    NotText,
    #[error("is empty; write into it what it is for")]
    Empty,
}

/// Blocking: the content of a file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, SmallFileError> {
    let kind = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => SmallFileError::Missing,
        _ => SmallFileError::Read(error),
    };
    let mut content = Vec::new();
    let mut file = File::open(path).map_err(kind)?.take(max + 1);
    match file.read_to_end(&mut content).map_err(kind)? as u64 > max {
        true => Err(SmallFileError::TooLong(max)),
        false => Ok(content),
    }
}

/// Blocking: the same as text.
pub(crate) fn read_text(path: &Path, max: u64) -> Result<String, SmallFileError> {
    String::from_utf8(read(path, max)?).map_err(|_| SmallFileError::NotText)
}

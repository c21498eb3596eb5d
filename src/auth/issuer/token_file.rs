//! `jwks_token_file`: the token with which an issuer is asked for its keys.

use std::path::{Path, PathBuf};

use http::HeaderValue;

use crate::outbound::small_file::{self, SmallFileError};
use crate::sys;

/// The path of such a file.
pub(super) type TokenFile = PathBuf;

/// Why there is no token to send. Never holds what is in the file.
#[derive(Debug, thiserror::Error)]
#[error("\"{}\" {error}", .path.display().to_string().escape_debug())]
pub(super) struct TokenFileError {
    path: PathBuf,
    error: SmallFileError,
}

/// Longest file of a token, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Reads the file: tokens of Kubernetes live for an hour and are renewed in place.
pub(super) async fn bearer(path: TokenFile) -> Result<HeaderValue, TokenFileError> {
    let reading = sys::run_blocking({
        let path = path.clone();
        move || read(&path)
    });
    let read = reading
        .await
        .map_err(|error| SmallFileError::Read(std::io::Error::other(error)));
    read.flatten().map_err(|error| TokenFileError { path, error })
}

fn read(path: &Path) -> Result<HeaderValue, SmallFileError> {
    let text = small_file::read_text(path, MAX_FILE_BYTES)?;
    let token = match text.trim() {
        "" => return Err(SmallFileError::Empty),
        token => token,
    };
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| SmallFileError::NotText)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Blocking: the error of a `jwks_token_file`, with the remedy; `None` if it can be used.
pub fn key_token_error(path: &Path) -> Option<String> {
    let error = read(path).err()?;
    let path = path.to_owned();
    Some(TokenFileError { path, error }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_whatever_surrounds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let fault = || key_token_error(&path).unwrap();
        assert!(fault().contains("does not exist"), "{}", fault());
        std::fs::write(&path, " secret\n").unwrap();
        assert_eq!(read(&path).unwrap(), "Bearer secret");
        for text in ["", " \n", "secret\nsecret", "secret\u{7}"] {
            std::fs::write(&path, text).unwrap();
            let fault = fault();
            assert!(fault.contains("token\"") && !fault.contains("secret"), "{fault}");
        }
    }
}

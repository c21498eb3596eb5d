//! Credentials in files, read anew for every request, so that a renewal counts at once.

use std::io;
use std::path::Path;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::config::S3CredentialFiles;
use crate::sys;

/// Longest accepted file in bytes: session tokens have some 2 KiB.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Files(S3CredentialFiles);

impl Files {
    pub(super) fn new(files: S3CredentialFiles) -> Self {
        Self(files)
    }
}

impl ProvideCredentials for Files {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let files = self.0.clone();
        future::ProvideCredentials::new(async move {
            let reading = sys::run_blocking(move || read(&files));
            reading.await.map_err(CredentialsError::unhandled)?
        })
    }
}

/// Blocking: reads all files.
fn read(files: &S3CredentialFiles) -> Result<Credentials, CredentialsError> {
    let id = read_one("s3.access_key_id_file", &files.access_key_id)?;
    let secret = read_one("s3.secret_access_key_file", &files.secret_access_key)?;
    let token = match &files.session_token {
        Some(path) => Some(read_one("s3.session_token_file", path)?),
        None => None,
    };
    Ok(Credentials::new(id, secret, token, None, "chacha files"))
}

fn read_one(name: &str, path: &Path) -> Result<String, CredentialsError> {
    let failed = |error: io::Error| {
        let text = format!("{name}: cannot read {}: {error}", path.display());
        CredentialsError::not_loaded(text)
    };
    if path.metadata().map_err(failed)?.len() > MAX_SECRET_FILE_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    match text.trim() {
        "" => Err(failed(io::Error::other("it is empty"))),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    #[tokio::test]
    async fn renewed_files_count_at_once_and_missing_ones_are_named() {
        let dir = tempfile::tempdir().expect("folder");
        let files = S3CredentialFiles {
            access_key_id: dir.path().join("id"),
            secret_access_key: dir.path().join("secret"),
            session_token: Some(dir.path().join("token")),
        };
        let provider = Files::new(files.clone());
        write(&files.access_key_id, "one\n").expect("write");
        write(&files.secret_access_key, " s \n").expect("write");
        write(dir.path().join("token"), "t\n").expect("write");
        let first = provider.provide_credentials().await.expect("credentials");
        assert_eq!((first.access_key_id(), first.secret_access_key()), ("one", "s"));
        assert_eq!(first.session_token(), Some("t"));
        write(&files.access_key_id, "two").expect("write");
        let second = provider.provide_credentials().await.expect("credentials");
        assert_eq!(second.access_key_id(), "two");
        write(&files.access_key_id, "\n").expect("write");
        let error = provider.provide_credentials().await.expect_err("empty");
        let text = aws_sdk_s3::error::DisplayErrorContext(error).to_string();
        assert!(text.contains("s3.access_key_id_file"), "{text}");
    }
}

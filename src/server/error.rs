//! Why the server cannot start.

use std::path::PathBuf;

use super::ListenError;
use crate::auth::{KeyFileError, SetupError};
use crate::store::RemoteErrorKind;
use crate::store::disk::{DiskOpenError, DiskRole};

/// Why the server cannot start. Every message names the key of the configuration and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The disk tier.
    #[error(transparent)]
    Disk(#[from] DiskOpenError),
    /// An identity provider.
    #[error(transparent)]
    Auth(#[from] SetupError),
    /// A reload would turn away tokens that are good now.
    #[error(
        "oidc_providers: {issuer} cannot be reached, and its known keys would be lost; reload again when it can"
    )]
    KeysWouldBeLost {
        /// The configured URL.
        issuer: String,
    },
    /// The rules of tenants promise more than the disk that is in use can keep.
    #[error("tenants: {0}")]
    Shares(String),
    /// The proxy for issuers and the remote tier.
    #[error("outbound_proxy_file: {0}")]
    Proxy(Box<dyn std::error::Error + Send + Sync>),
    /// The remote tier.
    #[error(transparent)]
    RemoteTier(Box<dyn std::error::Error + Send + Sync>),
    /// Something in the directory of the disk cannot be used: what an earlier run left for the remote tier, the number
    /// or the key of this server.
    #[error("{key}: {cause}; the directory must be readable and writable for this user")]
    Directory {
        /// The key of the configuration.
        key: &'static str,
        /// What is wrong.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file that tells this server from others cannot be used.
    #[error("{key}: {} cannot be used: {cause}; remove this file, and a new one is made; {loss}", path.display())]
    ServerFile {
        /// The key of the configuration that names the directory.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: Box<dyn std::error::Error + Send + Sync>,
        /// What is lost with it.
        loss: &'static str,
    },
    /// A key that seals cannot be used.
    #[error("{key}: {cause}")]
    SigningKey {
        /// The key of the configuration that names its file.
        key: &'static str,
        /// What is wrong.
        cause: KeyFileError,
    },
    /// Other servers are to be called with TLS, and this machine has no root certificates.
    #[error(
        "gha: {0}; `forward_unknown_to` and `advertise_url` with https:// need root certificates on this machine"
    )]
    Certificates(std::io::Error),
    /// The remote tier cannot be used, and there is no disk to serve from.
    #[error("{key}: {kind} (the server says: {cause})")]
    Remote {
        /// The key of the configuration that says where the tier is.
        key: &'static str,
        /// What is wrong, with the remedy.
        kind: RemoteErrorKind,
        /// The answer of the tier.
        cause: String,
    },
    /// There is no tier to serve from.
    #[error("disk: there is no tier; add a `disk` section with `dir` and `limit`, or an `s3` section")]
    NoTier,
}

impl StartError {
    pub(super) fn proxy(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Proxy(error.into())
    }

    /// Adds the key of the configuration to an error about a directory.
    pub(super) fn directory<E>(role: DiskRole) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |cause| Self::Directory {
            key: role.dir_key(),
            cause: cause.into(),
        }
    }
}

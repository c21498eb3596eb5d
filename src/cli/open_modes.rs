//! Files with secrets that others than their owner may read or change.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::{ConfigError, LoadedConfig};

/// Read and write, for the group and for all others.
const OPEN: u32 = 0o066;

/// Blocking: a warning for each file with a secret whose mode is open. A file that cannot be looked at is none: reading it
/// tells why.
pub(super) fn warnings(loaded: &LoadedConfig) -> Vec<ConfigError> {
    let mut warnings = Vec::new();
    let mut note = |key: &str, path: Option<&PathBuf>| {
        if let Some(text) = path.and_then(|path| warning(path)) {
            warnings.push(loaded.places.error(key, text));
        }
    };
    let config = &loaded.config;
    note("outbound_proxy_file", config.outbound_proxy_file.as_ref());
    for (nth, provider) in config.providers.iter().enumerate() {
        let key = format!("oidc_providers[{nth}].jwks_token_file");
        note(&key, provider.jwks_token_file.as_ref());
    }
    if let Some(files) = config.s3.as_ref().and_then(|s3| s3.credentials.as_ref()) {
        note("s3.access_key_id_file", Some(&files.access_key_id));
        note("s3.secret_access_key_file", Some(&files.secret_access_key));
        note("s3.session_token_file", files.session_token.as_ref());
    }
    if let Some((key, file)) = config.signing_key() {
        note(key, Some(file));
    }
    let former = config.signing_key_file_former.as_ref();
    note("signing_key_file_former", former);
    warnings
}

fn warning(path: &Path) -> Option<String> {
    // Of the file behind a link: Kubernetes mounts links.
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    let shown = path.display().to_string();
    (mode & OPEN != 0).then(|| {
        format!(
            "\"{}\" has the mode {mode:04o}, so others than its owner may read or change it; run `chmod 600` on it, or \
             set `defaultMode: 0400` where Kubernetes mounts it",
            shown.escape_debug()
        )
    })
}

//! `chacha check`: the checks of `run`, without opening a port, a directory or a connection.

use std::path::Path;
use std::process::ExitCode;

use crate::auth::{SigningKey, key_file_error};
use crate::config::{ConfigError, LoadedConfig};

pub(super) fn execute(file: &Path) -> anyhow::Result<ExitCode> {
    let loaded = super::load(file)?;
    let faults = key_files(&loaded);
    for warning in &loaded.warnings {
        super::say(&format!("warning: {warning}"));
    }
    for fault in &faults {
        super::fail(&fault.to_string());
    }
    if !faults.is_empty() {
        return Ok(ExitCode::from(super::USAGE_EXIT_CODE));
    }
    let (file, count) = (file.display(), loaded.warnings.len());
    super::say(&format!("{file}: ok, {count} warnings"));
    Ok(ExitCode::SUCCESS)
}

/// The key files that cannot be used. Without a key set the server starts, reads the file again and again, and
/// refuses all tokens of that issuer meanwhile. Without the signing key that is named it does not start.
fn key_files(loaded: &LoadedConfig) -> Vec<ConfigError> {
    let providers = loaded.config.providers.iter().enumerate();
    let faults = providers.filter_map(|(nth, provider)| {
        let fault = key_file_error(provider.jwks_file.as_ref()?)?;
        let key = format!("oidc_providers[{nth}].jwks_file");
        Some(loaded.places.error(&key, fault))
    });
    faults.chain(signing_key(loaded)).collect()
}

fn signing_key(loaded: &LoadedConfig) -> Option<ConfigError> {
    let file = loaded.config.gha.signing_key_file.as_ref()?;
    let fault = SigningKey::load(file).err()?;
    Some(loaded.places.error("gha.signing_key_file", fault.to_string()))
}

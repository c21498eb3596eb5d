//! `chacha check`: the checks of `run`, without opening a port, a directory or a connection.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::auth::{SigningKey, key_file_error, key_token_error};
use crate::config::{Config, ConfigError, LoadedConfig, NO_JOB_KEY};
use crate::outbound::{CaFile, Proxies};
use crate::sys;

pub(super) fn execute(file: &Path) -> anyhow::Result<ExitCode> {
    let mut loaded = super::load(file)?;
    loaded.warnings.extend(super::open_modes::warnings(&loaded));
    let faults = key_files(&loaded);
    for warning in &loaded.warnings {
        super::say(&format!("warning: {warning}"));
    }
    let machine: Vec<_> = volume(&loaded.config)
        .into_iter()
        .chain(memory(&loaded.config, sys::memory_size()))
        .collect();
    for (key, warning) in &machine {
        super::say(&format!("warning: {}", loaded.places.error(key, warning.clone())));
    }
    let warned = |key: &str| loaded.warnings.iter().any(|warning| warning.key == key);
    if loaded.config.lacks_job_key() && !warned("job_tokens") {
        super::say(&format!("note: {NO_JOB_KEY}"));
    }
    for fault in &faults {
        super::fail(&fault.to_string());
    }
    if !faults.is_empty() {
        return Ok(ExitCode::from(super::USAGE_EXIT_CODE));
    }
    let (file, count) = (file.display(), loaded.warnings.len() + machine.len());
    super::say(&format!("{file}: ok, {count} warnings"));
    Ok(ExitCode::SUCCESS)
}

/// The files that cannot be used. Without a key set, or the token to ask for one, the server starts, tries again and
/// again, and refuses all tokens of that issuer meanwhile. Without any other it does not start.
fn key_files(loaded: &LoadedConfig) -> Vec<ConfigError> {
    let config = &loaded.config;
    let mut faults = Vec::new();
    let mut note = |key: &str, path: Option<&PathBuf>, fault: fn(&Path) -> Option<String>| {
        if let Some(fault) = path.and_then(|path| fault(path)) {
            faults.push(loaded.places.error(key, fault));
        }
    };
    note(
        "outbound_proxy_file",
        config.outbound_proxy_file.as_ref(),
        |path| Proxies::load(Some(path)).err().map(|fault| fault.to_string()),
    );
    let ca_file = |path: &Path| CaFile::load(path).err().map(|fault| fault.to_string());
    for (nth, provider) in config.providers.iter().enumerate() {
        let key = |name| format!("oidc_providers[{nth}].{name}");
        note(&key("jwks_file"), provider.jwks_file.as_ref(), key_file_error);
        note(
            &key("jwks_token_file"),
            provider.jwks_token_file.as_ref(),
            key_token_error,
        );
        note(&key("ca_file"), provider.ca_file.as_ref(), ca_file);
    }
    let s3 = config.s3.as_ref();
    note("s3.ca_file", s3.and_then(|s3| s3.ca_file.as_ref()), ca_file);
    let signing_key = |path: &Path| SigningKey::load(path).err().map(|fault| fault.to_string());
    if let Some((key, file)) = config.signing_key() {
        note(key, Some(file), signing_key);
    }
    let former = config.signing_key_file_former.as_ref();
    note("signing_key_file_former", former, signing_key);
    faults
}

/// What the volume of `disk.dir` cannot hold, by key. Files that are unlinked and still open take up to 5 % of the limit
/// beside it.
fn volume(config: &Config) -> Vec<(&'static str, String)> {
    let Some(disk) = &config.disk else {
        return Vec::new();
    };
    // The server makes the directory.
    let Some(size) = disk.dir.ancestors().find_map(sys::volume_size) else {
        return Vec::new();
    };
    let most = disk.limit.saturating_add((disk.limit / 20).min(1 << 30));
    let mut warnings = Vec::new();
    if most > size {
        let text = format!(
            "needs {most} bytes with 5 % for files that are still read, and the volume of disk.dir has {size}; lower it, \
             or entries are evicted whenever the volume is full"
        );
        warnings.push(("disk.limit", text));
    }
    if disk.min_free > 0 && most.saturating_add(disk.min_free) > size {
        let text = format!(
            "does not fit beside disk.limit: the volume of disk.dir has {size} bytes; lower disk.limit, or entries are \
             evicted before it is reached"
        );
        warnings.push(("disk.min_free", text));
    }
    warnings
}

/// What the memory of this machine, or of its control group, cannot hold, by key.
fn memory(config: &Config, machine: Option<u64>) -> Option<(&'static str, String)> {
    let (size, limit) = (machine?, config.limits.memory);
    let requests = match (limit, &config.disk) {
        (Some(limit), _) => Some(("limits.memory", limit)),
        (None, disk) => disk.as_ref().map(|disk| ("disk.memory", disk.memory)),
    };
    let index = ("limits.index_memory", config.limits.index_memory);
    let mut parts = requests.into_iter().chain([index]);
    let (key, bytes) = parts.find(|(_, bytes)| *bytes > size)?;
    let text = format!(
        "is {bytes} bytes, and this process may use {size}, with everything else that it needs; lower it, or the \
         system ends the server when clients send much"
    );
    Some((key, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_the_machine_does_not_have_is_named() {
        let config = |limits: &str, disk: &str| {
            let text = format!(
                "oidc_providers: [{{url: 'https://a.example', cache_key_exprs: [claims.sub]}}]\n\
                 disk: {{dir: /cache, limit: 1GB{disk}}}\nlimits: {{{limits}}}\n"
            );
            let loaded = crate::config::parse("c.yaml", &text, &crate::auth::Expressions);
            loaded.unwrap_or_else(|report| panic!("{report}")).config
        };
        let key = |limits, disk, size| memory(&config(limits, disk), Some(size)).map(|(key, _)| key);
        assert_eq!(key("memory: 2GiB", "", 2 << 30), None);
        assert_eq!(key("memory: 2GiB", "", (2 << 30) - 1), Some("limits.memory"));
        assert_eq!(key("", ", memory: 2GiB", 1 << 30), Some("disk.memory"));
        assert_eq!(
            key("index_memory: 2GiB", "", 1 << 30),
            Some("limits.index_memory")
        );
        assert_eq!(key("", "", 1 << 30), None);
        assert_eq!(memory(&config("memory: 2GiB", ""), None), None);
    }
}

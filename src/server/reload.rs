//! SIGHUP: a changed configuration without a restart, as far as that is possible.

use std::time::Duration;

use super::{Server, StartError, assemble};
use crate::auth::Authenticator;
use crate::config::{Config, DiskConfig, LimitsConfig};
use crate::tasks::Tasks;

/// How long a reload waits for the keys of issuers.
const KEYS_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a reload checks whether those keys are there.
const KEYS_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Server {
    /// Takes over `oidc_providers` and the limits of requests from a configuration that was checked.
    /// Callers that were let in stay in until their request ends; tokens are verified anew. Returns the
    /// keys that have changed and need a restart.
    ///
    /// # Errors
    /// [`StartError`] if a provider cannot be used, or if the keys of an issuer that are known now cannot be
    /// fetched anew; everything stays as it was then.
    pub async fn reload(&mut self, config: Config) -> Result<Vec<&'static str>, StartError> {
        let identity = Tasks::new();
        let auth = match Authenticator::start(config.providers.clone(), &identity) {
            Ok(auth) => auth,
            Err(error) => {
                identity.finish().await;
                return Err(error.into());
            }
        };
        if let Err(issuer) = keys_of_known_issuers(&self.app.auth(), &auth).await {
            identity.finish().await;
            return Err(StartError::KeysWouldBeLost { issuer });
        }
        self.app.replace(auth, assemble::limits(&config));
        std::mem::replace(&mut self.identity, identity).finish().await;
        let wanted = config.clone();
        // What needs a restart stays as it is, also for the comparison of the next reload.
        self.config = reloaded(&self.config, config);
        let fixed = needs_restart(&self.config, &wanted);
        Ok(fixed)
    }
}

/// Waits until the new authenticator has the keys of every issuer whose keys the old one has; a reload
/// must not turn away tokens that were good a moment ago. Gives the issuer that cannot be reached.
async fn keys_of_known_issuers(old: &Authenticator, new: &Authenticator) -> Result<(), String> {
    let missing = || {
        let known: Vec<&str> = old
            .issuers()
            .filter(|(_, keys)| *keys)
            .map(|(url, _)| url)
            .collect();
        new.issuers()
            .find(|(url, keys)| !keys && known.contains(url))
            .map(|(url, _)| url.to_owned())
    };
    let mut polls = tokio::time::interval(KEYS_POLL_INTERVAL);
    let all_there = async {
        while missing().is_some() {
            polls.tick().await;
        }
    };
    match tokio::time::timeout(KEYS_TIMEOUT, all_there).await {
        Ok(()) => Ok(()),
        Err(_) => missing().map_or(Ok(()), Err),
    }
}

/// The configuration after a reload: what a reload takes over from `new`, everything else from `old`.
fn reloaded(old: &Config, new: Config) -> Config {
    Config {
        providers: new.providers,
        limits: LimitsConfig {
            max_entry_size: new.limits.max_entry_size,
            body_idle_timeout: new.limits.body_idle_timeout,
            drain_timeout: new.limits.drain_timeout,
            ..old.limits.clone()
        },
        ..old.clone()
    }
}

/// The keys in which the configuration that is in use differs from the file. Sections without a list of keys are
/// compared as wholes, the others field by field: every field is taken apart here, so a new one cannot be forgotten.
fn needs_restart(used: &Config, file: &Config) -> Vec<&'static str> {
    let Config {
        listen,
        ops_listen,
        base_url,
        providers,
        disk,
        s3,
        limits,
        gha,
    } = file;
    let mut keys = differing([
        ("listen", used.listen != *listen),
        ("ops_listen", used.ops_listen != *ops_listen),
        ("base_url", used.base_url != *base_url),
        ("oidc_providers", used.providers != *providers),
    ]);
    keys.extend(match (&used.disk, disk) {
        (Some(used), Some(file)) => disk_keys(used, file),
        (used, file) => differing([("disk", used != file)]),
    });
    keys.extend(differing([("s3", used.s3 != *s3)]));
    keys.extend(limits_keys(&used.limits, limits));
    keys.extend(differing([("gha", used.gha != *gha)]));
    keys
}

fn disk_keys(used: &DiskConfig, file: &DiskConfig) -> Vec<&'static str> {
    let DiskConfig {
        dir,
        limit,
        durability,
        memory,
        open_files,
        revalidate_after,
    } = file;
    differing([
        ("disk.dir", used.dir != *dir),
        ("disk.limit", used.limit != *limit),
        ("disk.durability", used.durability != *durability),
        ("disk.memory", used.memory != *memory),
        ("disk.open_files", used.open_files != *open_files),
        (
            "disk.revalidate_after",
            used.revalidate_after != *revalidate_after,
        ),
    ])
}

/// A limit that is reloaded never differs here.
fn limits_keys(used: &LimitsConfig, file: &LimitsConfig) -> Vec<&'static str> {
    let LimitsConfig {
        max_entry_size,
        max_connections,
        body_idle_timeout,
        keep_alive,
        drain_timeout,
    } = file;
    differing([
        ("limits.max_entry_size", used.max_entry_size != *max_entry_size),
        ("limits.max_connections", used.max_connections != *max_connections),
        (
            "limits.body_idle_timeout",
            used.body_idle_timeout != *body_idle_timeout,
        ),
        ("limits.keep_alive", used.keep_alive != *keep_alive),
        ("limits.drain_timeout", used.drain_timeout != *drain_timeout),
    ])
}

fn differing(keys: impl IntoIterator<Item = (&'static str, bool)>) -> Vec<&'static str> {
    let differing = keys.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests;

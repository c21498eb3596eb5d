//! SIGHUP: a changed configuration without a restart, as far as that is possible.

use std::time::Duration;

use super::{Server, StartError, assemble};
use crate::auth::Authenticator;
use crate::config::{Config, DiskConfig};
use crate::tasks::Tasks;

/// How long a reload waits for the keys of issuers.
const PATIENCE: Duration = Duration::from_secs(6);

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
        let fixed = needs_restart(&self.config, &config);
        // What needs a restart stays as it is, also for the comparison of the next reload.
        self.config.providers = config.providers;
        self.config.limits.max_entry_size = config.limits.max_entry_size;
        self.config.limits.body_idle_timeout = config.limits.body_idle_timeout;
        self.config.limits.drain_timeout = config.limits.drain_timeout;
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
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let all_there = async {
        while missing().is_some() {
            looks.tick().await;
        }
    };
    match tokio::time::timeout(PATIENCE, all_there).await {
        Ok(()) => Ok(()),
        Err(_) => missing().map_or(Ok(()), Err),
    }
}

fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let disk = |differ: fn(&DiskConfig, &DiskConfig) -> bool| {
        let both = old.disk.as_ref().zip(new.disk.as_ref());
        both.is_some_and(|(old, new)| differ(old, new))
    };
    let changed = [
        ("listen", old.listen != new.listen),
        ("ops_listen", old.ops_listen != new.ops_listen),
        ("base_url", old.base_url != new.base_url),
        ("disk", old.disk.is_some() != new.disk.is_some()),
        ("disk.dir", disk(|old, new| old.dir != new.dir)),
        ("disk.limit", disk(|old, new| old.limit != new.limit)),
        (
            "disk.durability",
            disk(|old, new| old.durability != new.durability),
        ),
        ("disk.memory", disk(|old, new| old.memory != new.memory)),
        (
            "disk.open_files",
            disk(|old, new| old.open_files != new.open_files),
        ),
        (
            "disk.revalidate_after",
            disk(|old, new| old.revalidate_after != new.revalidate_after),
        ),
        ("s3", old.s3 != new.s3),
        (
            "limits.max_connections",
            old.limits.max_connections != new.limits.max_connections,
        ),
        (
            "limits.keep_alive",
            old.limits.keep_alive != new.limits.keep_alive,
        ),
        ("gha", old.gha != new.gha),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

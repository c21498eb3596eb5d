//! SIGHUP: a changed configuration without a restart, as far as that is possible.

use super::{Server, StartError, assemble};
use crate::auth::Authenticator;
use crate::config::{Config, DiskConfig};
use crate::tasks::Tasks;

impl Server {
    /// Takes over `oidc_providers` and the limits of requests from a configuration that was checked.
    /// Running requests keep the rules under which they began; tokens are verified anew. Returns the
    /// keys that have changed and need a restart.
    ///
    /// # Errors
    /// [`StartError::Auth`] if a provider cannot be used; everything stays as it was then.
    pub async fn reload(&mut self, config: Config) -> Result<Vec<&'static str>, StartError> {
        let identity = Tasks::new();
        let auth = Authenticator::start(config.providers.clone(), &identity)?;
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
        ("s3", old.s3 != new.s3),
        (
            "limits.max_connections",
            old.limits.max_connections != new.limits.max_connections,
        ),
        (
            "limits.keep_alive",
            old.limits.keep_alive != new.limits.keep_alive,
        ),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

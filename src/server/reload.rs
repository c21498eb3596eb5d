//! SIGHUP: a changed configuration without a restart, as far as that is possible.

use super::{Server, StartError, assemble};
use crate::auth::Authenticator;
use crate::config::Config;
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
    let changed = [
        ("listen", old.listen != new.listen),
        ("ops_listen", old.ops_listen != new.ops_listen),
        ("base_url", old.base_url != new.base_url),
        ("disk", old.disk != new.disk),
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

//! SIGHUP: a changed configuration without a restart, as far as that is possible.

use std::time::Duration;

use super::memory::MemoryPlan;
use super::{Server, StartError, assemble};
use crate::auth::Authenticator;
use crate::config::{Config, DiskConfig, LimitsConfig, shares_fault};
use crate::tasks::Tasks;

/// How long a reload waits for the keys of issuers.
const KEYS_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a reload checks whether those keys are there.
const KEYS_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Server {
    /// Notes for metrics that a configuration could not even be read.
    pub fn reload_failed(&self) {
        self.reloads.note(false);
    }

    /// Takes over `oidc_providers`, `tenants` and the limits of requests from a configuration that was checked.
    /// Callers that were let in stay in until their request ends; tokens are verified anew. Returns the
    /// keys that have changed and need a restart.
    ///
    /// # Errors
    /// [`StartError`] if a provider cannot be used, if the rules of tenants promise more than the disk has, or if the keys
    /// of an issuer that are known now cannot be fetched anew; everything stays as it was then.
    pub async fn reload(&mut self, config: Config) -> Result<Vec<&'static str>, StartError> {
        let reloaded = self.take_over(config).await;
        self.reloads.note(reloaded.is_ok());
        reloaded
    }

    async fn take_over(&mut self, config: Config) -> Result<Vec<&'static str>, StartError> {
        // The limit that is in use, which a reload does not change.
        let limit = self.config.local_limit();
        if let Some(fault) = shares_fault(&config.tenants, limit) {
            return Err(StartError::Shares(fault));
        }
        let identity = Tasks::new();
        let memory = MemoryPlan::tokens(&self.config.limits);
        let auth = match Authenticator::start_within(config.providers.clone(), &identity, memory) {
            Ok(auth) => {
                let job_tokens = self.app.auth().job_tokens().with(config.job_tokens);
                auth.with_job_tokens(job_tokens)
            }
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
        self.app.cache().loads().rules().replace(&config.tenants, limit);
        self.tiers.disk.rules_changed();
        std::mem::replace(&mut self.identity, identity).finish().await;
        let wanted = config.clone();
        // What needs a restart stays as it is, also for the comparison of the next reload.
        self.config = reloaded(&self.config, config);
        Ok(needs_restart(&self.config, &wanted))
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
        tenants: new.tenants,
        job_tokens: new.job_tokens,
        limits: LimitsConfig {
            max_entry_size: new.limits.max_entry_size,
            body_idle_timeout: new.limits.body_idle_timeout,
            drain_timeout: new.limits.drain_timeout,
            ..old.limits.clone()
        },
        ..old.clone()
    }
}

/// The keys of a section in which the configuration that is in use differs from the file. Every field is taken apart, so
/// a new one cannot be forgotten.
macro_rules! differing {
    ($used:expr, $file:expr, $section:ident, $prefix:literal, [$($field:ident),+ $(,)?]) => {{
        let $section { $($field),+ } = $file;
        let keys = [$((concat!($prefix, stringify!($field)), $used.$field != *$field)),+];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key)
    }};
}

/// The keys in which the configuration that is in use differs from the file: sections without a list of keys as
/// wholes, the others field by field. A limit that is reloaded never differs here.
fn needs_restart(used: &Config, file: &Config) -> Vec<&'static str> {
    let wholes = differing!(
        used,
        file,
        Config,
        "",
        [
            listen,
            ops_listen,
            base_url,
            outbound_proxy_file,
            trusted_proxies,
            signing_key_file,
            signing_key_file_former,
            job_tokens,
            providers,
            disk,
            s3,
            limits,
            tenants,
            gha
        ]
    );
    let mut keys = Vec::new();
    for whole in wholes {
        match (whole, &used.disk, &file.disk) {
            ("providers", ..) => keys.push("oidc_providers"),
            ("disk", Some(used), Some(file)) => keys.extend(differing!(
                used,
                file,
                DiskConfig,
                "disk.",
                [
                    dir,
                    limit,
                    min_free,
                    durability,
                    memory,
                    open_files,
                    revalidate_after
                ]
            )),
            ("limits", ..) => keys.extend(differing!(
                used.limits,
                &file.limits,
                LimitsConfig,
                "limits.",
                [
                    max_entry_size,
                    max_connections,
                    connections_per_address,
                    body_idle_timeout,
                    keep_alive,
                    drain_timeout,
                    memory,
                    index_memory
                ]
            )),
            (whole, ..) => keys.push(whole),
        }
    }
    keys
}

#[cfg(test)]
mod tests;

//! The configuration: YAML to checked values, all errors at once.
//!
//! [`Config`] is plain data: a component takes its own section by value and nothing else. Nothing
//! here opens a port, a directory or a connection.
//!
//! The way of a file: [`load()`] reads it, `locate` walks it once for line numbers, duplicates and
//! expansion, `value` reads the values, `root` and the modules of the sections take them key by key
//! through `section`; `reader` collects every [`ConfigError`]. `ARCHITECTURE.md` says what a new key needs.

mod address;
mod credentials;
pub mod defaults;
mod duration;
mod error;
#[cfg(test)]
pub(crate) mod example;
mod expression;
mod field;
mod gha;
mod job_tokens;
mod key_places;
mod keypath;
mod keys;
mod load;
mod locate;
mod naming;

mod provider;
mod proxies;
mod reader;
mod remote;
mod root;
mod s3;
mod section;
mod sections;
mod size;
mod staging;
mod suggest;
mod syntax;
mod tenants;
mod tiers;
mod value;
mod weburl;
mod words;

pub use address::{InvalidAddress, ListenAddr};
pub use error::{ConfigError, ConfigErrors};
pub use expression::{ExpressionCheck, ExpressionKind};
pub use job_tokens::NO_JOB_KEY;
pub use key_places::KeyPlaces;
pub use load::{LoadedConfig, load, parse};
pub use proxies::TrustedProxies;
pub use remote::{RemoteConfig, Tiering};
pub use sections::{
    Config, DiskConfig, GhaConfig, JobTokensConfig, LimitsConfig, ProviderConfig, S3Config, S3CredentialFiles,
};
pub use tenants::{Share, TenantRule, reservable, shares_fault};
pub use words::{
    Algorithm, Durability, RedirectMode, S3Checksums, ServerSideEncryption, TokenScopes, WhenDown, WriteMode,
};

impl Config {
    /// The limit of the local tier in bytes: of `disk`, or of the small disk before a bucket.
    pub fn local_limit(&self) -> u64 {
        tenants::local_limit(self.disk.as_ref(), self.s3.as_ref()).unwrap_or(0)
    }

    /// Replaces `listen`, as the command line may.
    ///
    /// # Errors
    /// When the new addresses clash with `ops_listen`, or there are none.
    pub fn override_listen(&mut self, listen: Vec<ListenAddr>) -> Result<(), InvalidAddress> {
        if listen.is_empty() {
            return Err(InvalidAddress("no address to listen on is given".to_owned()));
        }
        if let Some(fault) = listen_fault(&listen, self.ops_listen.as_ref()) {
            return Err(InvalidAddress(fault));
        }
        self.listen = listen;
        Ok(())
    }
}

/// What is wrong with these listeners together.
fn listen_fault(listen: &[ListenAddr], ops: Option<&ListenAddr>) -> Option<String> {
    let ops = ops?;
    let taken = listen.iter().find(|address| address::clash(address, ops))?;
    Some(format!(
        "listen ({taken}) and ops_listen ({ops}) are the same address; give one of them another port, \
         because /health and /metrics are legal cache keys"
    ))
}

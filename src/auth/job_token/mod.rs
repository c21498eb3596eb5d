//! Job tokens: credentials that this server seals itself, for jobs that live longer than the token of their CI system.
//!
//! ```text
//! payload   what is sealed: ids, time of issue, issuer, claims, and what was granted
//! keys      sealing and opening, under a label and a key of their own
//! text      the two forms that clients carry, with a checksum
//! bound     what was granted, as an upper bound for all rules to come
//! revoked   the tokens that were revoked before their end
//! ask       what a job asks for in an exchange, and what of it it gets
//! ```
//!
//! Nothing here looks at rules, issuers or a clock: `judge` and `exchange` of `auth` do.

mod ask;
mod bound;
mod checksum;
mod error;
mod keys;
mod payload;
mod revoked;
mod text;
mod token_id;

use std::sync::Arc;

use crate::config::JobTokensConfig;

pub use ask::{NamespaceChoice, Restriction, RightsChoice};
pub(super) use ask::{NarrowError, read_only_reason};
pub(super) use bound::Bound;
pub use error::JobTokenError;
pub use keys::JobTokenKeys;
pub(super) use payload::{Payload, names_digest};
pub use revoked::{NotKeptError, Revocation, RevocationKeeper, RevokedTokens};
pub use text::JobTokenForm;
pub(super) use text::{PREFIX, is_job_token, read, write, write_front, write_jwt};
pub use token_id::TokenId;

/// The longest job token in characters. As the password of Basic it still fits into one line of a header.
pub(super) const MAX_CHARS: usize = 3000;

/// What makes and opens job tokens on this server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct JobTokens {
    keys: Option<JobTokenKeys>,
    lifetimes: Option<JobTokensConfig>,
    revoked: RevokedTokens,
    keeper: Option<Arc<dyn RevocationKeeper>>,
}

impl JobTokens {
    /// Without keys, or with `job_tokens: off`, none are made and none are accepted. What is revoked is forgotten at the end.
    pub fn new(keys: Option<JobTokenKeys>, lifetimes: Option<JobTokensConfig>) -> Self {
        Self {
            keys,
            lifetimes,
            revoked: RevokedTokens::empty(),
            keeper: None,
        }
    }

    /// The same with a list of revoked tokens that is kept.
    #[must_use]
    pub fn revoking(self, revoked: RevokedTokens, keeper: Arc<dyn RevocationKeeper>) -> Self {
        Self {
            revoked,
            keeper: Some(keeper),
            ..self
        }
    }

    /// The same keys and lists with another configuration.
    #[must_use]
    pub fn with(&self, lifetimes: Option<JobTokensConfig>) -> Self {
        Self {
            lifetimes,
            ..self.clone()
        }
    }

    /// The tokens that were revoked.
    pub fn revoked(&self) -> &RevokedTokens {
        &self.revoked
    }

    /// The keys, also while no job tokens are accepted.
    pub(super) fn keys(&self) -> Option<&JobTokenKeys> {
        self.keys.as_ref()
    }

    /// What keeps them.
    pub(super) fn keeper(&self) -> Option<&Arc<dyn RevocationKeeper>> {
        self.keeper.as_ref()
    }

    /// Keys and lifetimes.
    ///
    /// # Errors
    /// Job tokens are off, or there is no key for them.
    pub(super) fn in_use(&self) -> Result<(&JobTokenKeys, JobTokensConfig), JobTokenError> {
        let lifetimes = self.lifetimes.ok_or(JobTokenError::Off)?;
        let keys = self.keys.as_ref().ok_or(JobTokenError::NoKey)?;
        Ok((keys, lifetimes))
    }
}

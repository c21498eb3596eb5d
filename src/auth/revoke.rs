//! A job ends its own token. The token is the proof: whoever has it may as well end it.

use super::authenticator::Authenticator;
use super::credentials::Credentials;
use super::identity::Identity;
use super::job_token::{self, NotKeptError, Revocation};
use super::judge;

/// A token that can be revoked.
#[derive(Debug)]
pub struct Revocable {
    /// Who it stands for, as far as the rules of now say it.
    pub identity: Option<Identity>,
    revocation: Revocation,
}

/// Why a token is not revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// It is none that this server has made. That of a CI system ends by itself.
    #[error("only job tokens can be revoked")]
    NotOurs,
    /// Its tenant, or everybody, has revoked too many tokens that would not have ended yet.
    #[error("too many tokens are revoked at the moment")]
    TooMany,
    /// The list is not kept everywhere.
    #[error("{0}")]
    NotKept(#[from] NotKeptError),
}

impl Authenticator {
    /// Looks at a token that is to be revoked. `None` if it is worth nothing anyway, so that there is nothing to do. Rules
    /// that refuse it do not keep it from being revoked.
    ///
    /// # Errors
    /// [`RevokeError::NotOurs`].
    pub fn revocable(&self, credentials: &Credentials<'_>) -> Result<Option<Revocable>, RevokeError> {
        let Ok(text) = credentials.token() else {
            return Ok(None);
        };
        if !job_token::is_job_token(&text) {
            return Err(RevokeError::NotOurs);
        }
        // Also while none are accepted: that may change again.
        let opened = self
            .job_tokens()
            .keys()
            .and_then(|keys| judge::open(keys, &text).ok());
        let Some((payload, expires)) = opened else {
            return Ok(None);
        };
        let (first, until) = payload.first(expires);
        if until <= judge::seconds_now() {
            // All of its chain has ended.
            return Ok(None);
        }
        let identity = self.known_identity(&payload, (&text, expires));
        let tenant = identity
            .as_ref()
            .map(|identity| identity.tenancy.tenant.label().clone());
        Ok(Some(Revocable {
            identity,
            revocation: Revocation {
                first,
                until,
                tenant: tenant.unwrap_or_default(),
            },
        }))
    }

    /// Revokes a token, and with it all of its chain of exchanges: here at once, elsewhere as soon as it is kept. To do so
    /// again is no fault, and tells the other servers once more.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(&self, revocable: Revocable) -> Result<(), RevokeError> {
        let (revoked, revocation) = (self.job_tokens().revoked(), revocable.revocation);
        if !revoked.holds(revocation.first) && !revoked.has_room(&revocation.tenant) {
            return Err(RevokeError::TooMany);
        }
        revoked.take([revocation.clone()], judge::seconds_now());
        if !revoked.holds(revocation.first) {
            // Others took the last places meanwhile.
            return Err(RevokeError::TooMany);
        }
        match self.job_tokens().keeper() {
            Some(keeper) => Ok(keeper.keep(revocation).await?),
            None => Ok(()),
        }
    }
}

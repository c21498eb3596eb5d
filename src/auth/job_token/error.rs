//! Why a job token is not good.

use crate::error::Class;

/// Why a job token is not accepted. The texts are for clients, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JobTokenError {
    /// `job_tokens: off`.
    #[error("this server issues and accepts no job tokens")]
    Off,
    /// With a bucket and without `signing_key_file`, the key would lie where others read it.
    #[error("this server has no key for job tokens, so it issues and accepts none")]
    NoKey,
    /// The checksum does not fit, or the text is none of a job token.
    #[error("damaged token: it was cut or changed in transit")]
    Damaged,
    /// No key of this server opens it.
    #[error("the job token was not issued by this server, or its signing key has been replaced")]
    Foreign,
    /// A later version of this server has sealed it.
    #[error("the job token was issued by another version of this server")]
    OtherVersion,
    /// Its time is over.
    #[error("the job token has expired")]
    Expired,
    /// It, or another one of its chain of exchanges, was revoked.
    #[error("the job token was revoked")]
    Revoked,
    /// Which tokens were revoked could not be read since the start.
    #[error("which job tokens were revoked is not known yet; the same request may succeed later")]
    RevokedUnknown,
    /// Its issuer is none of the providers of now.
    #[error("the issuer behind the job token is no longer a configured provider")]
    IssuerGone,
    /// Claims were left out of it, and the rules of now use others than those of then.
    #[error(
        "the rules have changed since the job token was issued; exchange the token of the job for a new one"
    )]
    RulesChanged,
    /// What was granted and what the rules of now grant have nothing in common.
    #[error("the rules leave no right to this job token")]
    NothingLeft,
}

impl JobTokenError {
    /// What the caller can do about it.
    pub fn class(self) -> Class {
        match self {
            Self::NothingLeft => Class::Forbidden,
            Self::RevokedUnknown => Class::Unavailable,
            _ => Class::Unauthenticated,
        }
    }
}

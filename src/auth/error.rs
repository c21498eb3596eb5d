//! The errors of authentication.
//!
//! `Display` is for the operator's log: it may name the configured provider and the key id
//! (escaped, capped). [`Classify::public`] is for the client. Neither holds a token or the value
//! of a claim.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::job_token::JobTokenError;
use super::scope::{RightsError, RulesError};
use crate::error::{Class, Classify};

/// The list of revoked tokens is read again within this time.
const REVOKED_RETRY: Duration = Duration::from_secs(5);

/// Why a request has no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `Authorization` header.
    #[error("no credentials")]
    Missing,
    /// The credentials cannot be read.
    #[error("malformed credentials: {0}")]
    Malformed(#[from] CredentialsError),
    /// `iss` equals no configured provider. The error does not hold the value, which is a claim.
    #[error("the issuer of the token is not a configured provider")]
    UnknownIssuer,
    /// The token names a provider, but did not pass its checks.
    #[error("token of {issuer}{key} refused: {reason}")]
    Rejected {
        /// The configured URL of the provider.
        issuer: Arc<str>,
        /// The key that the token names.
        key: KeyLabel,
        /// The check that failed.
        reason: TokenError,
    },
    /// The token is good; a rule of the provider does not let its bearer in.
    #[error("token of {issuer} is not allowed: {source}")]
    Forbidden {
        /// The configured URL of the provider.
        issuer: Arc<str>,
        /// Which rule, and why.
        source: RightsError,
    },
    /// A job token that is not good.
    #[error("job token refused: {0}")]
    JobToken(#[from] JobTokenError),
    /// The token cannot be judged now, because keys of its issuer could not be fetched.
    #[error("the keys of {issuer} could not be fetched")]
    KeysUnavailable {
        /// The configured URL of the provider.
        issuer: Arc<str>,
        /// When the next attempt will be over, at least one second.
        retry_after: Duration,
    },
}

impl Error {
    /// Whether credentials were sent and are not good: `error="invalid_token"` of RFC 6750 section 3.1.
    pub fn is_invalid_token(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::UnknownIssuer | Self::Rejected { .. } => true,
            Self::JobToken(reason) => reason.class() == Class::Unauthenticated,
            _ => false,
        }
    }

    /// Whether the time of a token has run out, by its own `exp` or by `max_age`. Its signature is good; its other
    /// claims may not have been looked at.
    pub fn is_expired(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                reason: TokenError::Expired | TokenError::TooOld,
                ..
            } | Self::JobToken(JobTokenError::Expired)
        )
    }

    /// When the same request may succeed, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeysUnavailable { retry_after, .. } => Some(*retry_after),
            Self::JobToken(JobTokenError::RevokedUnknown) => Some(REVOKED_RETRY),
            _ => None,
        }
    }
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Missing | Self::Malformed(_) | Self::UnknownIssuer | Self::Rejected { .. } => {
                Class::Unauthenticated
            }
            Self::Forbidden { .. } => Class::Forbidden,
            Self::JobToken(reason) => reason.class(),
            Self::KeysUnavailable { .. } => Class::Unavailable,
        }
    }

    fn public(&self) -> Cow<'static, str> {
        match self {
            Self::Missing => "credentials are required".into(),
            Self::Malformed(reason) => reason.to_string().into(),
            Self::UnknownIssuer => "the token was not issued by a configured provider".into(),
            Self::Rejected { reason, .. } => reason.to_string().into(),
            Self::Forbidden { source, .. } => source.public(),
            Self::JobToken(reason) => reason.to_string().into(),
            Self::KeysUnavailable { .. } => {
                "the keys of the token's issuer cannot be fetched at the moment".into()
            }
        }
    }
}

/// Why credentials cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// RFC 9110 section 11.6.2 allows one.
    #[error("more than one Authorization header")]
    SeveralHeaders,
    /// See `Credentials::MAX_BYTES`.
    #[error("the Authorization header is too long")]
    TooLong,
    /// Neither `Bearer` nor `Basic` nor a bare token.
    #[error("the Authorization header needs the scheme Bearer or Basic")]
    Scheme,
    /// The base64 of `Basic` is broken, or it is not text.
    #[error("the Basic credentials are not base64")]
    BasicEncoding,
    /// `Basic` without `:`, or with nothing after it.
    #[error("the Basic credentials hold no token in place of the password")]
    BasicPassword,
    /// Not three segments of base64url without padding.
    #[error("the token is not a JSON Web Token")]
    Shape,
    /// The header is not a JSON object with an `alg`, or a parameter has the wrong type or stands there twice.
    #[error("the header of the token is malformed")]
    Header,
    /// RFC 7515 section 4.1.11: extensions that must be understood. None is.
    #[error("the token demands extensions that are not supported")]
    Critical,
    /// The claims are not a JSON object, or a name stands there twice.
    #[error("the claims of the token are malformed")]
    Claims,
    /// `iss` is absent, or not one string.
    #[error("the token does not name one issuer")]
    Issuer,
}

/// Why a provider does not accept a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// `none`, a symmetric algorithm, or one that the provider's list does not hold.
    #[error("the algorithm of the token is not accepted")]
    Algorithm,
    /// The issuer does not publish the key.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// The key that the token names is not for its algorithm.
    #[error("the key of the token does not fit its algorithm")]
    UnfitKey,
    /// More keys may be meant than are tried, and none of those that were tried signed it.
    #[error("the token does not name its key, and too many fit")]
    AmbiguousKey,
    /// The signature does not match.
    #[error("the signature of the token is wrong")]
    Signature,
    /// `exp` lies behind.
    #[error("the token has expired")]
    Expired,
    /// `nbf` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` lies ahead.
    #[error("the token was issued in the future")]
    IssuedAhead,
    /// `iat` lies further behind than `max_age`.
    #[error("the token is too old")]
    TooOld,
    /// No member of `aud` is in the provider's list.
    #[error("the token is meant for another audience")]
    Audience,
    /// A registered claim is absent or malformed.
    #[error("the claim `{0}` of the token is missing or malformed")]
    Claim(&'static str),
    /// A registered claim has a type that the verifying library cannot read past.
    #[error("a registered claim of the token is malformed")]
    Claims,
}

/// The id of a key as a log may show it: escaped, capped, or nothing at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLabel(Option<Box<str>>);

impl KeyLabel {
    const MAX_CHARS: usize = 64;

    /// A label for the `kid` of a header, which is not trusted.
    pub(super) fn new(id: Option<&str>) -> Self {
        Self(id.map(|id| printable(id, Self::MAX_CHARS).into()))
    }

    /// The escaped id.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(id) => write!(f, " (key \"{id}\")"),
            None => Ok(()),
        }
    }
}

/// Untrusted text for a log: control characters and quotes escaped, at most `max` characters.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut shown: String = text.chars().take(max).flat_map(char::escape_debug).collect();
    if text.chars().nth(max).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Why the identity layer cannot start. The configuration file must change, or the machine.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A provider's URL cannot be an issuer.
    #[error("provider {url}: {reason}")]
    Url {
        /// The configured URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two providers would vouch for the same tokens.
    #[error("provider {url} is configured twice")]
    Duplicate {
        /// The configured URL.
        url: String,
    },
    /// An expression does not compile.
    #[error("provider {url}: {source}")]
    Rules {
        /// The configured URL.
        url: String,
        /// Which expression, and why.
        source: RulesError,
    },
    /// The certificates of the machine, or those of `ca_file`, cannot be used.
    #[error("provider {url}: ca_file: {cause}")]
    Certificates {
        /// The configured URL.
        url: String,
        /// The fault, with the remedy.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The proxy cannot be used.
    #[error("outbound_proxy_file: {0}")]
    Proxy(Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_cannot_forge_a_log_line() {
        let label = KeyLabel::new(Some("a\n\u{1b}[31m\"x"));
        assert_eq!(label.to_string(), " (key \"a\\n\\u{1b}[31m\\\"x\")");
        assert!(KeyLabel::new(Some(&"k".repeat(5000))).to_string().len() < 100);
        assert_eq!(KeyLabel::new(None).to_string(), "");
    }
}

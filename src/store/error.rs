//! What can go wrong in a tier.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use super::tenant_rules::{HeldBound, TenantBound};
use crate::error::{Class, Classify};
use crate::named::named_enum;
use crate::telemetry::refusals::Refusal;

/// Result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a tier. A miss is not one of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The entry changed, exists or does not exist, against the wish of the caller.
    #[error("the precondition does not hold")]
    Precondition,
    /// The body is larger than the tier can ever hold.
    #[error("a body of {size} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Length of the body in bytes, as far as it is known.
        size: u64,
        /// The largest accepted length in bytes.
        limit: u64,
    },
    /// The volume is full, or all room is reserved by uploads that are still running.
    #[error("no room for {needed} bytes: {reason}")]
    NoSpace {
        /// Bytes that were asked for.
        needed: u64,
        /// What is used up.
        reason: Shortage,
    },
    /// The tenant has as much under way as the operator allows.
    #[error("the tenant is at its bound: tenants, {}", .bound.as_str())]
    OverBound {
        /// The rule.
        bound: TenantBound,
        /// Another attempt may succeed after this time.
        retry_after: Duration,
    },
    /// Requests hold as much memory as they may, or those of the same tenant do.
    #[error("requests hold the memory that they may take (limits.memory)")]
    NoMemory,
    /// The operating system refused.
    #[error("{operation}: {source}")]
    Io {
        /// What was tried, for the operator.
        operation: &'static str,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// A remote tier did not do what it was asked for.
    #[error("{operation}: {kind}")]
    Remote {
        /// What was tried, for the operator.
        operation: &'static str,
        /// What kind of error it is.
        kind: RemoteErrorKind,
        /// The answer of the tier.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server is shutting down.
    #[error("the store is shutting down")]
    Stopping,
}

impl Error {
    /// Wraps an error of the operating system; `ENOSPC` and `EDQUOT` become [`Error::NoSpace`].
    pub fn io(operation: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                needed: 0,
                reason: "the volume of the cache directory is full".into(),
            },
            _ => Self::Io { operation, source },
        }
    }

    /// Wraps an error of a remote tier.
    pub fn remote(
        operation: &'static str,
        kind: RemoteErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Remote {
            operation,
            kind,
            source: source.into(),
        }
    }

    /// Whether it is a refusal for what others need as well.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::TooLarge { .. } => Some(Refusal::MaxEntrySize),
            Self::NoSpace { reason, .. } => Some(reason.refusal()),
            Self::OverBound { bound, .. } => Some(match bound {
                TenantBound::WriteRate => Refusal::WriteRate,
                TenantBound::RequestsInFlight => Refusal::RequestsInFlight,
                TenantBound::MaxUploads => Refusal::MaxUploads,
            }),
            Self::NoMemory => Some(Refusal::Memory),
            Self::Precondition | Self::Io { .. } | Self::Remote { .. } | Self::Stopping => None,
        }
    }

    /// The kind of error, if a remote tier is the cause.
    pub fn remote_error_kind(&self) -> Option<RemoteErrorKind> {
        match self {
            Self::Remote { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Precondition => Class::PreconditionFailed,
            Self::TooLarge { .. } => Class::TooLarge,
            Self::NoSpace { .. } => Class::NoSpace,
            Self::OverBound { .. } => Class::TooMany,
            Self::Io { .. } => Class::Internal,
            Self::Remote { .. } | Self::NoMemory | Self::Stopping => Class::Unavailable,
        }
    }

    fn public(&self) -> Cow<'static, str> {
        match self {
            Self::Precondition => "the precondition does not hold".into(),
            Self::TooLarge { size, limit } => {
                format!("the entry has {size} bytes, the limit is {limit} bytes").into()
            }
            Self::NoSpace { needed, reason } => reason.public(*needed),
            Self::OverBound { bound, .. } => format!(
                "too much at once: {} of this tenant; try again later",
                bound.as_str()
            )
            .into(),
            Self::NoMemory => "too much is being sent at this moment; try again in some seconds".into(),
            Self::Io { .. } => "the cache could not do this".into(),
            Self::Remote { .. } => "the shared tier of the cache cannot do this now".into(),
            Self::Stopping => "the server is shutting down".into(),
        }
    }
}

/// What of a tier is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The room for everybody; the text is for the operator.
    #[error("{0}")]
    Tier(&'static str),
    /// The share of one tenant.
    #[error("its tenant has used up its share of {share} bytes, and nobody is above")]
    Share {
        /// Bytes that the tenant never has to give for others.
        share: u64,
    },
    /// What a rule allows to one tenant.
    #[error("the rule {} allows {limit} to its tenant", .rule.as_str())]
    Rule {
        /// The rule.
        rule: HeldBound,
        /// What it says.
        limit: u64,
    },
}

impl From<&'static str> for Shortage {
    fn from(text: &'static str) -> Self {
        Self::Tier(text)
    }
}

impl Shortage {
    fn refusal(self) -> Refusal {
        match self {
            Self::Tier(_) => Refusal::Room,
            Self::Share { .. } => Refusal::Share,
            Self::Rule {
                rule: HeldBound::MaxBytes,
                ..
            } => Refusal::MaxBytes,
            Self::Rule {
                rule: HeldBound::MaxEntries,
                ..
            } => Refusal::MaxEntries,
        }
    }

    /// For whoever asked for `needed` bytes.
    fn public(self, needed: u64) -> Cow<'static, str> {
        match self {
            Self::Tier(_) => "the cache has no room for this entry now".into(),
            Self::Share { share } => format!(
                "the entry needs {needed} bytes, and the share of {share} bytes that its tenant has of the cache is used up"
            )
            .into(),
            Self::Rule { rule, limit } => {
                let rule = rule.as_str();
                format!("{rule} allows {limit} to this tenant, and no older entry can make way").into()
            }
        }
    }
}

named_enum! {
    /// Why a remote tier did not do what it was asked for; the texts are for the operator, the names for metrics.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
    pub enum RemoteErrorKind {
        /// There are none, or none that can be read.
        #[error("there are no credentials; set them in the environment, a profile or s3.access_key_id_file")]
        NoCredentials = "no_credentials",
        /// They have expired and were not renewed.
        #[error("the credentials have expired")]
        Expired = "expired",
        /// It does not know them, or they may not do this.
        #[error("access is denied; check the credentials and the policy of the bucket")]
        Denied = "denied",
        /// There is no such bucket.
        #[error("there is no such bucket; check s3.bucket and s3.endpoint_url")]
        NoBucket = "no_bucket",
        /// Something else than S3 answers there.
        #[error(
            "s3.endpoint_url answers, but not as S3 does; check its scheme, host, port and path (a console or a web \
             page has another address than the store)"
        )]
        NotS3 = "not_s3",
        /// The bucket is in another region.
        #[error("the bucket is in another region; set s3.region")]
        WrongRegion = "wrong_region",
        /// The clocks differ.
        #[error("the clock of this machine differs too much from that of S3; synchronize it")]
        ClockSkew = "clock_skew",
        /// No connection can be made.
        #[error("the server cannot be reached; check s3.endpoint_url and the network")]
        Unreachable = "unreachable",
        /// It asks for fewer requests.
        #[error("the server asks for fewer requests; lower s3.max_concurrency if this lasts")]
        Throttled = "throttled",
        /// It fails by itself.
        #[error("the server answers with errors of its own (5xx); look at its log")]
        ServerError = "server_error",
        /// It took too long.
        #[error("no answer in time")]
        Timeout = "timeout",
        /// The version that was being read is gone.
        #[error("the entry was replaced meanwhile")]
        Changed = "changed",
        /// What it gave is not what was stored.
        #[error("what the server gave is not what was stored")]
        Damaged = "damaged",
        /// It was down a moment ago and is not asked now.
        #[error("the server has failed again and again and is given a rest")]
        Resting = "resting",
        /// Anything else.
        #[error("the request has failed")]
        Other = "other",
    }
}

impl RemoteErrorKind {
    /// Whether a change that ended so may have happened all the same.
    pub fn leaves_doubt(self) -> bool {
        use RemoteErrorKind::*;
        matches!(self, Timeout | Other | Throttled | Damaged | ServerError | NotS3)
    }

    /// Whether another change would end in the same way now.
    pub fn is_of_the_tier(self) -> bool {
        use RemoteErrorKind::*;
        match self {
            NoCredentials | Expired | NoBucket | NotS3 | WrongRegion | ClockSkew | Unreachable
            | ServerError | Timeout | Resting => true,
            Denied | Throttled | Changed | Damaged | Other => false,
        }
    }

    /// Whether the tier may be usable again before anybody has changed anything.
    pub fn may_pass(self) -> bool {
        use RemoteErrorKind::*;
        matches!(self, Unreachable | Timeout | Throttled | ServerError | Resting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_place_and_name() {
        for (nth, kind) in RemoteErrorKind::ALL.iter().copied().enumerate() {
            assert_eq!(kind as usize, nth);
            let same = RemoteErrorKind::ALL
                .iter()
                .filter(|other| other.as_str() == kind.as_str());
            assert_eq!(same.count(), 1, "{kind}");
        }
    }
}

//! Kinds of errors of a remote tier.

use crate::named::named_enum;

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
        matches!(
            self,
            Self::Timeout | Self::Other | Self::Throttled | Self::Damaged
        )
    }

    /// Whether the tier may be usable again before anybody has changed anything.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::Timeout | Self::Throttled | Self::Resting
        )
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

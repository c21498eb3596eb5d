//! How the keys of an issuer stand, for operators.

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysState {
    /// They were fetched, and the last attempt was good.
    #[error("its keys are known")]
    Current,
    /// They could not be renewed; the last ones serve. Seconds since they were good.
    #[error(
        "its keys could not be renewed for {0} s, the last ones serve; check that the issuer can be reached"
    )]
    Kept(u64),
    /// There were none yet.
    #[error("no keys yet, its tokens get 503; check that the issuer can be reached from here")]
    Unknown,
    /// It publishes none that can be used.
    #[error("it publishes no usable key, its tokens are refused; check its key set")]
    Unusable,
    /// The last ones are too old to be believed. Seconds since they were good.
    #[error("its keys are {0} s old, its tokens get 503; check that the issuer can be reached from here")]
    TooOld(u64),
}

impl KeysState {
    /// Whether tokens of the issuer can be verified.
    pub fn can_verify(self) -> bool {
        matches!(self, Self::Current | Self::Kept(_))
    }
}

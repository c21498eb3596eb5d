//! The names of signature algorithms, here and in the library that computes them.

use jsonwebtoken as jwt;

use crate::config::Algorithm;

/// The name that RFC 9864 gives to EdDSA over Ed25519.
pub(in crate::auth) const ED25519: &str = "Ed25519";

impl Algorithm {
    /// Reads the `alg` of a header (RFC 7515 section 4.1.1). Case-sensitive; `none` and the
    /// symmetric algorithms have no value here, so they cannot be let in by mistake.
    pub(in crate::auth) fn from_header(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            // The second is its name since RFC 9864. The first could also mean Ed448, of which no key is taken.
            "EdDSA" | ED25519 => Self::EdDSA,
            _ => return None,
        })
    }

    /// The same algorithm, as the verifying library calls it.
    pub(in crate::auth) fn to_jwt(self) -> jwt::Algorithm {
        match self {
            Self::RS256 => jwt::Algorithm::RS256,
            Self::RS384 => jwt::Algorithm::RS384,
            Self::RS512 => jwt::Algorithm::RS512,
            Self::PS256 => jwt::Algorithm::PS256,
            Self::PS384 => jwt::Algorithm::PS384,
            Self::PS512 => jwt::Algorithm::PS512,
            Self::ES256 => jwt::Algorithm::ES256,
            Self::ES384 => jwt::Algorithm::ES384,
            Self::EdDSA => jwt::Algorithm::EdDSA,
        }
    }
}

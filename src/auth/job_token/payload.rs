//! What is sealed into a job token, as JSON.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bound::Bound;
use super::error::JobTokenError;
use super::token_id::TokenId;

const VERSION: u8 = 1;
/// Bytes of the digest of names.
const NAMES_BYTES: usize = 9;

/// The payload. A field that this version does not know could be a restriction, so it is refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::auth) struct Payload {
    #[serde(rename = "v")]
    version: u8,
    pub(in crate::auth) id: TokenId,
    /// Of the token with which the chain of exchanges began, if it is not this one: its id, and the end of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<(TokenId, u64)>,
    /// In seconds since 1970.
    #[serde(rename = "iat")]
    pub(in crate::auth) issued_at: u64,
    /// The URL of the provider as it is configured.
    #[serde(rename = "iss")]
    pub(in crate::auth) issuer: String,
    /// The verified claims of the CI token.
    pub(in crate::auth) claims: Map<String, Value>,
    #[serde(rename = "g")]
    pub(in crate::auth) bound: Bound,
    /// SHA-256 of the CI token, in base64url.
    #[serde(rename = "from")]
    pub(in crate::auth) exchanged_from: String,
    /// If claims were left out: the digest of the names that were kept.
    #[serde(rename = "cut", default, skip_serializing_if = "Option::is_none")]
    pub(in crate::auth) kept_names: Option<String>,
    /// Of the second form: the digest of what stands in front, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    front: Option<String>,
}

impl Payload {
    /// A token with all of these claims. `first`: the token with which the chain of exchanges began.
    pub(in crate::auth) fn new(
        issuer: &str,
        (claims, exchanged_from): (Map<String, Value>, String),
        bound: Bound,
        (issued_at, first): (u64, Option<(TokenId, u64)>),
    ) -> Self {
        Self {
            version: VERSION,
            id: TokenId::random(),
            first,
            issued_at,
            issuer: issuer.to_owned(),
            claims,
            bound,
            exchanged_from,
            kept_names: None,
            front: None,
        }
    }

    /// Only the claims with these names. Rules that use others are not answered from this token any more.
    pub(in crate::auth) fn cut(mut self, names: &BTreeSet<String>) -> Self {
        self.claims.retain(|name, _| names.contains(name));
        self.kept_names = Some(names_digest(names));
        self
    }

    /// Bound to what stands in front in the second form.
    pub(in crate::auth) fn behind(mut self, front: [u8; 32]) -> Self {
        self.front = Some(URL_SAFE_NO_PAD.encode(front));
        self
    }

    /// Whether it was sealed behind this front, or without one.
    pub(in crate::auth) fn is_behind(&self, front: Option<[u8; 32]>) -> bool {
        self.front == front.map(|front| URL_SAFE_NO_PAD.encode(front))
    }

    /// The token with which the chain of exchanges began, and the end of its life. `expires`: the end of this one.
    pub(in crate::auth) fn first(&self, expires: u64) -> (TokenId, u64) {
        self.first.unwrap_or((self.id, expires))
    }

    pub(in crate::auth) fn encode(&self) -> Vec<u8> {
        // Nothing in it fails: all keys are texts.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// # Errors
    /// [`JobTokenError::OtherVersion`]: the bytes were sealed, so a server wrote them.
    pub(in crate::auth) fn decode(bytes: &[u8]) -> Result<Self, JobTokenError> {
        let read: Option<Self> = serde_json::from_slice(bytes).ok();
        read.filter(|payload| payload.version == VERSION)
            .ok_or(JobTokenError::OtherVersion)
    }
}

/// A digest of names of claims.
pub(in crate::auth) fn names_digest(names: &BTreeSet<String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for name in names {
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(&hasher.finalize().as_bytes()[..NAMES_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_later_version_may_have_restricted_is_refused() {
        let known = json!({
            "v": 1, "id": TokenId::random(), "iat": 1, "iss": "i", "claims": {"a": 1}, "g": {"r": []}, "from": "",
        });
        let decode = |json: &Value| Payload::decode(json.to_string().as_bytes());
        let payload = decode(&known).unwrap();
        assert_eq!(payload.first(7), (payload.id, 7));
        assert_eq!(
            decode(&serde_json::from_slice(&payload.encode()).unwrap())
                .unwrap()
                .claims,
            payload.claims
        );
        for (name, value) in [
            ("v", json!(2)),
            ("new", json!(1)),
            ("g", json!({"r": [], "x": 1})),
        ] {
            let mut other = known.clone();
            other[name] = value;
            assert_eq!(decode(&other).unwrap_err(), JobTokenError::OtherVersion, "{name}");
        }
        assert!(Payload::decode(b"").is_err());
    }

    #[test]
    fn names_are_digested_apart() {
        let digest = |names: &[&str]| names_digest(&names.iter().map(|name| (*name).to_owned()).collect());
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["a"]), digest(&["a", "b"]));
        assert_eq!(digest(&["a", "b"]), digest(&["b", "a"]));
    }
}

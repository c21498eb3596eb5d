//! One identity in the cache.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::identity::Identity;
use super::super::issuer::VerifyingKey;

/// The identity behind credentials that were verified.
#[derive(Clone)]
pub(super) struct CachedIdentity {
    pub(super) identity: Arc<Identity>,
    /// The key that verified the token.
    pub(super) key: Arc<VerifyingKey>,
    /// The end of its time in the cache.
    pub(super) until: SystemTime,
}

impl CachedIdentity {
    pub(super) fn is_good(&self, now: SystemTime) -> bool {
        now < self.until && !self.key.is_withdrawn()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::claims::at;
    use super::super::super::identity::{Namespace, Scope, TokenDigest};
    use super::*;

    pub(in super::super) fn sample(expires: u64) -> CachedIdentity {
        let identity = identity(at(expires));
        CachedIdentity {
            until: identity.expires,
            identity,
            key: Arc::new(VerifyingKey::sample()),
        }
    }

    pub(in super::super) fn identity(expires: SystemTime) -> Arc<Identity> {
        let issuer: Arc<str> = "https://issuer.example".into();
        Arc::new(Identity {
            issuer: issuer.clone(),
            subject: "".into(),
            scope: Scope::new(Namespace::new(issuer, "n")).unwrap(),
            may_write: true,
            expires,
            token: TokenDigest::of("a.b.c"),
        })
    }
}

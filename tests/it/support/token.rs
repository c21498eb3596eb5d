//! Tokens, as good or as damaged as a test wants them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::signer::{Signer, encode};

/// The audience of every token unless a test changes it.
pub(crate) const AUDIENCE: &str = "https://cache.example";

/// A token before it is signed.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    /// Stands in place of `claims`, for what a map cannot hold.
    pub(crate) raw_claims: Option<String>,
    /// Stands in place of `header`.
    pub(crate) raw_header: Option<String>,
    pub(crate) signer: Signer,
}

impl Draft {
    /// A good token, valid for five minutes. No two are equal.
    pub(crate) fn new(issuer: &str, signer: Signer) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let now = now();
        let claims = json!({
            "iss": issuer, "aud": AUDIENCE, "sub": "repo:acme/app:ref:refs/heads/main",
            "iat": now, "nbf": now, "exp": now + 300, "jti": SERIAL.fetch_add(1, Ordering::Relaxed).to_string(),
            "repository": "acme/app", "ref": "refs/heads/main",
        });
        let mut draft = Self {
            header: Map::new(),
            claims: claims.as_object().unwrap().clone(),
            raw_claims: None,
            raw_header: None,
            signer: Signer::Nobody,
        };
        draft.header.insert("typ".into(), "JWT".into());
        draft.signed_by(signer);
        draft
    }

    /// Changes the key, and the header with it.
    pub(crate) fn signed_by(&mut self, signer: Signer) {
        self.header.insert("alg".into(), signer.algorithm().into());
        self.header.insert("kid".into(), signer.key_id().into());
        self.signer = signer;
    }

    /// Sets a claim; `null` removes it.
    pub(crate) fn claim(&mut self, name: &str, value: impl Into<Value>) {
        set(&mut self.claims, name, value.into());
    }

    /// Sets a parameter of the header; `null` removes it.
    pub(crate) fn header(&mut self, name: &str, value: impl Into<Value>) {
        set(&mut self.header, name, value.into());
    }

    /// Sets several claims; `null` removes one.
    pub(crate) fn claims(&mut self, claims: Value) {
        for (name, value) in claims.as_object().unwrap() {
            set(&mut self.claims, name, value.clone());
        }
    }

    /// The compact form.
    pub(crate) fn sign(&self) -> String {
        let part = |raw: &Option<String>, map: &Map<String, Value>| {
            encode(
                raw.clone()
                    .unwrap_or_else(|| Value::from(map.clone()).to_string()),
            )
        };
        let message = format!(
            "{}.{}",
            part(&self.raw_header, &self.header),
            part(&self.raw_claims, &self.claims)
        );
        let algorithm = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let signature = self.signer.sign(algorithm, message.as_bytes());
        format!("{message}.{}", encode(signature))
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.into(), value);
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

//! Makes the documents of issuers readable for the library.

use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet};
use serde_json::{Map, Value, json};

use super::super::algorithm::ED25519;
use super::super::error::printable;
use super::jwk::{JwkError, SkippedKey};

/// Why a published document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("the answer is not a JSON object")]
    NotJson,
    #[error(
        "the answer is a web page or XML, not JSON; check the URL, and whether a proxy answers in between"
    )]
    Markup,
    #[error("the discovery document has no {0}")]
    Field(&'static str),
    #[error("the discovery document names the issuer \"{found}\"{hint}")]
    Issuer { found: String, hint: &'static str },
    #[error("the key set has no list of keys")]
    NoKeys,
}

/// Reduces a discovery document to its issuer and the place of its keys, and adds what
/// `openidconnect` requires beyond.
///
/// GitHub's document has no `authorization_endpoint`, and others have mistakes in details that no verification needs.
/// The keys must be readable all the same.
///
/// # Errors
/// The document is malformed, or its issuer differs from `issuer` in any byte (OpenID Connect Discovery 1.0 section
/// 4.3).
pub(super) fn discovery(body: &[u8], issuer: &str) -> Result<Vec<u8>, DocumentError> {
    let document = object(body)?;
    let text = |name: &'static str| {
        let text = document.get(name).and_then(Value::as_str);
        text.ok_or(DocumentError::Field(name))
    };
    let found = text("issuer")?;
    if found != issuer {
        let hint = match found.trim_end_matches('/') == issuer.trim_end_matches('/') {
            true => "; the configured one differs in a trailing slash",
            false => "",
        };
        return Err(DocumentError::Issuer {
            found: printable(found, 200),
            hint,
        });
    }
    let readable = json!({
        "issuer": found,
        "jwks_uri": text("jwks_uri")?,
        "authorization_endpoint": "https://unused.invalid/",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    Ok(readable.to_string().into_bytes())
}

/// The readable entries of a key set.
#[derive(Debug)]
pub(super) struct PublishedKeys {
    pub(super) set: CoreJsonWebKeySet,
    /// The other entries.
    pub(super) skipped: Vec<SkippedKey>,
}

/// Reads a key set. Single bad entries are left out, with the reason.
///
/// # Errors
/// The body is no key set.
pub(super) fn key_set(body: &[u8]) -> Result<PublishedKeys, DocumentError> {
    let mut document = object(body)?;
    let Some(Value::Array(entries)) = document.remove("keys") else {
        return Err(DocumentError::NoKeys);
    };
    let (mut keys, mut skipped) = (Vec::new(), Vec::new());
    for entry in entries {
        let id = entry.get("kid").and_then(Value::as_str).map(str::to_owned);
        match key(entry) {
            Ok(key) => keys.push(key),
            Err(reason) => skipped.push(SkippedKey::new(id.as_deref(), reason)),
        }
    }
    let set = CoreJsonWebKeySet::new(keys);
    Ok(PublishedKeys { set, skipped })
}

fn key(mut entry: Value) -> Result<CoreJsonWebKey, JwkError> {
    const KNOWN_TYPES: [&str; 4] = ["RSA", "EC", "OKP", "oct"];
    // `openidconnect` does not look at `key_ops` (RFC 7517 section 4.3).
    if !may_verify(&entry) {
        return Err(JwkError::Use);
    }
    let kind = entry.get("kty").and_then(Value::as_str);
    if kind.is_some_and(|kind| !KNOWN_TYPES.contains(&kind)) {
        return Err(JwkError::Type);
    }
    // Neither library knows the newer name yet.
    if let Some(algorithm) = entry.get_mut("alg").filter(|name| *name == ED25519) {
        *algorithm = "EdDSA".into();
    }
    serde_json::from_value(entry).map_err(|_| JwkError::Unreadable)
}

fn may_verify(key: &Value) -> bool {
    match key.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, DocumentError> {
    // A reader may ignore the mark (RFC 8259 section 8.1).
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let markup = text.trim_ascii_start().starts_with(b"<");
    serde_json::from_slice(text).map_err(|_| match markup {
        true => DocumentError::Markup,
        false => DocumentError::NotJson,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openidconnect::JsonWebKey as _;
    use openidconnect::core::CoreProviderMetadata;

    #[test]
    fn the_document_of_github_becomes_readable() {
        let github = json!({
            "issuer": "https://token.actions.githubusercontent.com",
            "jwks_uri": "https://token.actions.githubusercontent.com/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "repository"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        });
        let issuer = "https://token.actions.githubusercontent.com";
        let body = discovery(github.to_string().as_bytes(), issuer).unwrap();
        let metadata: CoreProviderMetadata = serde_json::from_slice(&body).unwrap();
        assert_eq!(metadata.issuer().as_str(), issuer);
    }

    #[test]
    fn a_trailing_slash_is_named() {
        let body = br#"{"issuer":"https://a.example/","jwks_uri":"https://a.example/keys"}"#;
        let error = discovery(body, "https://a.example").unwrap_err();
        assert!(error.to_string().contains("trailing slash"), "{error}");
        let error = discovery(body, "https://b.example").unwrap_err();
        assert!(!error.to_string().contains("trailing slash"), "{error}");
    }

    #[test]
    fn keys_that_must_not_verify_are_left_out() {
        let body = json!({"keys": [
            {"kty": "RSA", "kid": "a"}, {"kty": "RSA", "kid": "b", "key_ops": ["verify"]},
            {"kty": "RSA", "kid": "c", "key_ops": ["encrypt"]}, {"kty": "RSA", "kid": "d", "key_ops": []},
            {"kty": "RSA", "kid": "e", "key_ops": "verify"}, 5,
        ]});
        let published = key_set(body.to_string().as_bytes()).unwrap();
        let ids = published
            .set
            .keys()
            .iter()
            .map(|key| key.key_id().unwrap().as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["a", "b"]);
        let skipped: Vec<_> = published
            .skipped
            .iter()
            .map(|key| (&*key.id, key.reason))
            .collect();
        let used_otherwise = ["c", "d", "e"].map(|id| (id, JwkError::Use));
        assert_eq!(skipped[..3], used_otherwise);
        assert_eq!(skipped[3..], [("", JwkError::Unreadable)]);
    }

    #[test]
    fn what_is_no_key_set_is_told_from_a_web_page() {
        let fault = |body: &[u8]| key_set(body).unwrap_err();
        assert_eq!(fault(br#"{"keys":5}"#), DocumentError::NoKeys);
        assert_eq!(fault(b"keys"), DocumentError::NotJson);
        assert_eq!(fault(b"\n <!doctype html>"), DocumentError::Markup);
        assert_eq!(fault(b"\xef\xbb\xbf<?xml?>"), DocumentError::Markup);
        assert!(key_set(b"\xef\xbb\xbf{\"keys\":[]}").is_ok(), "a byte order mark");
    }
}

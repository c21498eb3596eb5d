//! Makes the documents of issuers readable for the library.

use serde_json::{Map, Value, json};

use super::super::error::printable;

/// Why a published document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("the answer is not a JSON object")]
    NotJson,
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

/// Leaves out the keys whose `key_ops` do not allow to verify (RFC 7517 section 4.3), which
/// `openidconnect` does not look at.
///
/// # Errors
/// The body is no key set. Single bad keys are skipped later.
pub(super) fn key_set(body: &[u8]) -> Result<Vec<u8>, DocumentError> {
    let mut document = object(body)?;
    let Some(Value::Array(mut keys)) = document.remove("keys") else {
        return Err(DocumentError::NoKeys);
    };
    keys.retain(may_verify);
    Ok(json!({ "keys": keys }).to_string().into_bytes())
}

fn may_verify(key: &Value) -> bool {
    match key.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, DocumentError> {
    serde_json::from_slice(body).map_err(|_| DocumentError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;
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
            {"kid": "a"}, {"kid": "b", "key_ops": ["verify"]}, {"kid": "c", "key_ops": ["encrypt"]},
            {"kid": "d", "key_ops": []}, {"kid": "e", "key_ops": "verify"}, 5,
        ]});
        let set: Value = serde_json::from_slice(&key_set(body.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(
            set,
            json!({"keys": [{"kid": "a"}, {"kid": "b", "key_ops": ["verify"]}, 5]})
        );
        assert_eq!(key_set(br#"{"keys":5}"#), Err(DocumentError::NoKeys));
        assert_eq!(key_set(b"<html>"), Err(DocumentError::NotJson));
    }
}

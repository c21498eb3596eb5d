//! A token as it arrived. Nothing in it is verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::error::CredentialsError;
use super::unique_map::UniqueMap;

/// A JSON Web Token whose signature was not checked.
///
/// Only what is needed to choose a provider and a key can be read; `jku`, `x5u`, `jwk` and `x5c`
/// have no accessor, so nothing can act on them.
pub(super) struct UnverifiedToken<'a> {
    text: &'a str,
    algorithm: String,
    key_id: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> UnverifiedToken<'a> {
    /// Splits and decodes a token in compact form (RFC 7515 section 7.1).
    ///
    /// # Errors
    /// Why the form of the token is wrong. Any `crit` is refused: no extension is implemented
    /// (RFC 7515 section 4.1.11).
    pub(super) fn parse(text: &'a str) -> Result<Self, CredentialsError> {
        let mut segments = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(CredentialsError::Shape);
        };
        let header = decode(header)?;
        let claims = decode(claims)?;
        decode(signature)?;
        let mut header = object(&header).ok_or(CredentialsError::Header)?;
        if header.contains_key("crit") {
            return Err(CredentialsError::Critical);
        }
        let Some(Value::String(algorithm)) = header.remove("alg") else {
            return Err(CredentialsError::Header);
        };
        let key_id = match header.remove("kid") {
            None => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(CredentialsError::Header),
        };
        let claims = object(&claims).ok_or(CredentialsError::Claims)?;
        if !matches!(claims.get("iss"), Some(Value::String(_))) {
            return Err(CredentialsError::Issuer);
        }
        Ok(Self {
            text,
            algorithm,
            key_id,
            claims,
        })
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// `alg`, any text.
    pub(super) fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// `kid`, any text.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// `iss`, to choose among the configured providers and for nothing else.
    pub(super) fn issuer(&self) -> &str {
        self.claims.get("iss").and_then(Value::as_str).unwrap_or_default()
    }

    /// The claims as they were sent, to explain a refusal to an operator.
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// Base64url without padding and without stray bits, so that one token has one spelling.
fn decode(segment: &str) -> Result<Vec<u8>, CredentialsError> {
    let bytes = URL_SAFE_NO_PAD.decode(segment);
    bytes.map_err(|_| CredentialsError::Shape)
}

fn object(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice::<UniqueMap>(json).ok().map(|map| map.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(header: &str, claims: &str) -> Result<(), CredentialsError> {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let text = format!("{}.{}.{}", encode(header), encode(claims), encode("signature"));
        UnverifiedToken::parse(&text).map(drop)
    }

    #[test]
    fn the_parts_are_what_the_standards_say() {
        let claims = r#"{"iss":"i"}"#;
        assert_eq!(parse(r#"{"alg":"RS256","kid":"k"}"#, claims), Ok(()));
        for (header, reason) in [
            ("{}", CredentialsError::Header),
            (r#"{"alg":256}"#, CredentialsError::Header),
            (r#"{"alg":"RS256","alg":"none"}"#, CredentialsError::Header),
            (r#"{"alg":"RS256","kid":1}"#, CredentialsError::Header),
            (r#"["RS256"]"#, CredentialsError::Header),
            ("junk", CredentialsError::Header),
            (
                r#"{"alg":"RS256","crit":["b64"],"b64":false}"#,
                CredentialsError::Critical,
            ),
            (r#"{"alg":"RS256","crit":null}"#, CredentialsError::Critical),
        ] {
            assert_eq!(parse(header, claims), Err(reason), "{header}");
        }
    }

    #[test]
    fn the_issuer_is_one_string() {
        let header = r#"{"alg":"RS256"}"#;
        for (claims, reason) in [
            ("{}", CredentialsError::Issuer),
            (r#"{"iss":["i"]}"#, CredentialsError::Issuer),
            (r#"{"iss":null}"#, CredentialsError::Issuer),
            (r#"{"iss":"i","iss":"j"}"#, CredentialsError::Claims),
            (r#"["i"]"#, CredentialsError::Claims),
        ] {
            assert_eq!(parse(header, claims), Err(reason), "{claims}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[ -~]{0,80}", parts in prop::collection::vec(".{0,40}", 3)) {
            drop(UnverifiedToken::parse(&text));
            let encoded: Vec<String> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
            drop(UnverifiedToken::parse(&encoded.join(".")));
        }
    }
}

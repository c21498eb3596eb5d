//! The secret that a request carries, as far as it can be read without trusting it.

use std::fmt;

use aws_lc_rs::digest;

use super::base64_any;
use super::error::{CredentialsError, Error};
use super::job_token::PREFIX;

/// The credentials of one request, as they came. A secret: `Debug` shows nothing, and it cannot be
/// cloned.
///
/// Nothing is parsed until the secret is asked for: a request whose header was verified a moment ago is recognised
/// by its digest alone.
pub struct Credentials<'a> {
    value: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// Longest accepted value of the header in bytes. Tokens of CI systems have one to three
    /// thousand; what is longer is refused before any of it is parsed.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// From the values of all `Authorization` headers of one request.
    ///
    /// # Errors
    /// [`Error::Missing`] without a header, [`Error::Malformed`] with two, or with one that is too
    /// long.
    pub fn from_header_values(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let value = values.next().ok_or(Error::Missing)?;
        if values.next().is_some() {
            return Err(CredentialsError::SeveralHeaders.into());
        }
        if value.len() > Self::MAX_BYTES {
            return Err(CredentialsError::TooLong.into());
        }
        let value = value.trim_ascii();
        if value.is_empty() {
            return Err(Error::Missing);
        }
        Ok(Self { value })
    }

    /// From a token that did not come in a header.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is too long, or cannot be a token.
    pub fn from_token(text: &'a str) -> Result<Self, Error> {
        let value = text.as_bytes();
        if value.len() > Self::MAX_BYTES {
            return Err(CredentialsError::TooLong.into());
        }
        token(value, CredentialsError::Shape)?;
        Ok(Self { value })
    }

    /// The value of the header, without the blanks around it.
    pub(super) fn value(&self) -> &[u8] {
        self.value
    }

    /// The token in the credentials: a JSON Web Token (RFC 7519) or a job token. Nothing about it is checked but that it is
    /// visible ASCII, and has two dots or the prefix of a job token.
    ///
    /// Accepts `Bearer TOKEN`, `Basic` with the token in place of the password (the user is
    /// ignored; standard or URL-safe base64, padded or not), and the bare token. The name of the
    /// scheme is case-insensitive (RFC 9110 section 11.1).
    pub(super) fn token(&self) -> Result<Box<str>, CredentialsError> {
        match self.value.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
            None => token(self.value, CredentialsError::Scheme),
            Some(end) => with_scheme(&self.value[..end], self.value[end..].trim_ascii_start()),
        }
    }

    /// SHA-256 over the token: equal only for equal tokens, whatever the claims say. Scheme, user name and spelling of
    /// the header do not count, so that one token is one entry of the token cache. Without a token, over the value.
    pub(super) fn digest(&self) -> [u8; 32] {
        let token = self.token();
        let hashed = token.as_deref().map_or(self.value, str::as_bytes);
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, hashed).as_ref());
        digest
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

fn with_scheme(scheme: &[u8], rest: &[u8]) -> Result<Box<str>, CredentialsError> {
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return token(rest, CredentialsError::Shape);
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = base64_any::decode(rest).ok_or(CredentialsError::BasicEncoding)?;
        // The user cannot hold a colon, the password can (RFC 7617 section 2).
        let password = pair.splitn(2, |byte| *byte == b':').nth(1);
        let password = password.filter(|password| !password.is_empty());
        return token(
            password.ok_or(CredentialsError::BasicPassword)?,
            CredentialsError::Shape,
        );
    }
    Err(CredentialsError::Scheme)
}

/// Takes what may be a token. `otherwise` says what it is if not.
fn token(bytes: &[u8], otherwise: CredentialsError) -> Result<Box<str>, CredentialsError> {
    let dots = bytes.iter().filter(|byte| **byte == b'.').count();
    let is_token = dots == 2 || bytes.starts_with(PREFIX.as_bytes());
    if !is_token || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(otherwise);
    }
    std::str::from_utf8(bytes).map(Into::into).map_err(|_| otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose as base64_of;

    fn read(values: &[&str]) -> Result<String, Error> {
        let credentials = Credentials::from_header_values(values.iter().map(|value| value.as_bytes()))?;
        Ok(credentials.token()?.into())
    }

    fn malformed(value: &str) -> CredentialsError {
        match read(&[value]) {
            Err(Error::Malformed(reason)) => reason,
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_may_be_absent() {
        for value in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER   a.b.c ",
            "Bearer\ta.b.c",
            "a.b.c",
        ] {
            assert_eq!(read(&[value]).unwrap(), "a.b.c", "{value}");
        }
    }

    #[test]
    fn exactly_one_header_is_accepted() {
        assert!(matches!(read(&[]), Err(Error::Missing)));
        assert!(matches!(read(&[""]), Err(Error::Missing)));
        let two = read(&["Bearer a.b.c", "Bearer a.b.c"]);
        assert!(matches!(
            two,
            Err(Error::Malformed(CredentialsError::SeveralHeaders))
        ));
        assert_eq!(malformed("Bearer a.b.c, Bearer a.b.c"), CredentialsError::Shape);
    }

    #[test]
    fn what_is_too_long_is_not_parsed() {
        let fits = format!("Bearer a.b.{}", "c".repeat(Credentials::MAX_BYTES - 11));
        assert!(read(&[&fits]).is_ok());
        assert_eq!(malformed(&(fits + "c")), CredentialsError::TooLong);
    }

    #[test]
    fn basic_is_read_in_every_spelling_of_base64() {
        // The bytes after the token's dots make `+` and `/` appear in the standard alphabet.
        for user in ["", "x", "user>>>???", "ü"] {
            let pair = format!("{user}:a.b.c");
            for text in [
                base64_of::STANDARD.encode(&pair),
                base64_of::STANDARD_NO_PAD.encode(&pair),
                base64_of::URL_SAFE.encode(&pair),
                base64_of::URL_SAFE_NO_PAD.encode(&pair),
            ] {
                assert_eq!(read(&[&format!("bAsIc {text}")]).unwrap(), "a.b.c", "{user}");
            }
        }
    }

    #[test]
    fn basic_splits_at_the_first_colon() {
        let basic = |pair: &str| format!("Basic {}", base64_of::STANDARD.encode(pair));
        // What follows the first colon is the token, colons and all.
        assert_eq!(read(&[&basic("user:extra:a.b.c")]).unwrap(), "extra:a.b.c");
        assert_eq!(malformed(&basic("a.b.c")), CredentialsError::BasicPassword);
        assert_eq!(malformed(&basic("a.b.c:")), CredentialsError::BasicPassword);
        assert_eq!(malformed("Basic %%%"), CredentialsError::BasicEncoding);
        assert_eq!(malformed("Basic \u{7f}"), CredentialsError::BasicEncoding);
    }

    #[test]
    fn other_schemes_and_binary_are_refused() {
        assert_eq!(malformed("Digest a.b.c"), CredentialsError::Scheme);
        assert_eq!(malformed("abc"), CredentialsError::Scheme);
        assert_eq!(malformed("Bearer"), CredentialsError::Scheme);
        assert_eq!(malformed("Bearer ä.b.c"), CredentialsError::Shape);
    }

    #[test]
    fn one_token_has_one_digest_in_every_spelling() {
        let digest = |value: &str| {
            let credentials = Credentials::from_header_values([value.as_bytes()].into_iter());
            credentials.unwrap().digest()
        };
        let basic = |user: &str| format!("Basic {}", base64_of::STANDARD.encode(format!("{user}:a.b.c")));
        for value in [
            "Bearer a.b.c",
            "bearer  a.b.c",
            &basic(""),
            &basic("one"),
            &basic("two"),
        ] {
            assert_eq!(digest(value), digest("a.b.c"), "{value}");
        }
        assert_ne!(digest("Bearer a.b.d"), digest("a.b.c"));
        assert_ne!(digest("Basic %"), digest("Basic %%"));
    }

    #[test]
    fn debug_shows_nothing() {
        let credentials = Credentials::from_header_values([&b"a.secret.c"[..]].into_iter()).unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }
}

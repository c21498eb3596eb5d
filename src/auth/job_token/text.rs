//! The two forms in which clients carry a job token.
//!
//! ```text
//! chacha_jt_ SEALED _ CHECKSUM       SEALED in base64url, CHECKSUM of all before the last _
//! HEAD . CLAIMS . SEALED             for clients that take nothing but a JSON Web Token, such as BuildKit
//! ```
//!
//! The second form is no JSON Web Token: nothing is signed, `HEAD` is constant, and the digest of `HEAD.CLAIMS` is sealed,
//! so nobody changes what the client reads there. It never reaches the code that verifies tokens of CI systems.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::identity::TokenDigest;
use super::checksum::{DIGITS, checksum};
use super::error::JobTokenError;

/// What every opaque job token begins with; scanners for secrets look for it.
pub(in crate::auth) const PREFIX: &str = "chacha_jt_";

/// `{"alg":"HS256","typ":"JWT","kid":"chacha_jt"}`. go-actions-cache refuses algorithms that it does not know before it
/// reads anything.
pub(in crate::auth) const JWT_HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImNoYWNoYV9qdCJ9";

/// How a job token looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JobTokenForm {
    /// `chacha_jt_...`.
    #[default]
    Opaque,
    /// Three segments, as those of a JSON Web Token.
    Jwt,
}

/// A job token that was read and not opened.
#[derive(Debug)]
pub(in crate::auth) struct JobTokenText {
    pub(in crate::auth) sealed: Vec<u8>,
    /// Of the second form: the digest of what stands in front of the sealed part.
    pub(in crate::auth) front: Option<[u8; 32]>,
}

/// Whether a text is to be taken for a job token, whatever is wrong with it.
pub(in crate::auth) fn is_job_token(text: &str) -> bool {
    text.starts_with(PREFIX) || text.split('.').next() == Some(JWT_HEAD)
}

/// Reads a text that is a job token.
///
/// # Errors
/// [`JobTokenError::Damaged`]. One token has one spelling.
pub(in crate::auth) fn read(text: &str) -> Result<JobTokenText, JobTokenError> {
    match text.strip_prefix(PREFIX) {
        Some(rest) => read_opaque(text, rest),
        None => read_jwt(text),
    }
}

fn read_opaque(text: &str, rest: &str) -> Result<JobTokenText, JobTokenError> {
    let (sealed, digits) = rest.rsplit_once('_').ok_or(JobTokenError::Damaged)?;
    let summed = &text[..PREFIX.len() + sealed.len()];
    if digits.len() != DIGITS || checksum(summed) != digits {
        return Err(JobTokenError::Damaged);
    }
    Ok(JobTokenText {
        sealed: decode(sealed)?,
        front: None,
    })
}

fn read_jwt(text: &str) -> Result<JobTokenText, JobTokenError> {
    let (front, sealed) = text.rsplit_once('.').ok_or(JobTokenError::Damaged)?;
    let claims = front
        .strip_prefix(JWT_HEAD)
        .and_then(|rest| rest.strip_prefix('.'));
    if claims.is_none_or(|claims| claims.contains('.')) {
        return Err(JobTokenError::Damaged);
    }
    Ok(JobTokenText {
        sealed: decode(sealed)?,
        front: Some(digest_of(front)),
    })
}

/// The opaque form.
pub(in crate::auth) fn write(sealed: &[u8]) -> String {
    let mut text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
    let digits = checksum(&text);
    text.push('_');
    text.push_str(&digits);
    text
}

/// What stands in front of the sealed part in the second form, with its digest, which has to be sealed.
pub(in crate::auth) fn write_front(claims: &str) -> (String, [u8; 32]) {
    let front = format!("{JWT_HEAD}.{}", URL_SAFE_NO_PAD.encode(claims));
    let digest = digest_of(&front);
    (front, digest)
}

/// The second form.
pub(in crate::auth) fn write_jwt(front: &str, sealed: &[u8]) -> String {
    format!("{front}.{}", URL_SAFE_NO_PAD.encode(sealed))
}

fn digest_of(front: &str) -> [u8; 32] {
    *TokenDigest::of(front).as_bytes()
}

/// Refuses padding and stray bits.
fn decode(text: &str) -> Result<Vec<u8>, JobTokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JobTokenError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_head_is_what_clients_of_github_accept() {
        let decoded = URL_SAFE_NO_PAD.decode(JWT_HEAD).unwrap();
        assert_eq!(decoded, br#"{"alg":"HS256","typ":"JWT","kid":"chacha_jt"}"#);
    }

    #[test]
    fn a_token_that_was_cut_or_changed_is_told_from_one_of_others() {
        let text = write(b"sealed bytes, which may be any");
        assert!(is_job_token(&text));
        assert_eq!(read(&text).unwrap().sealed, b"sealed bytes, which may be any");
        for end in PREFIX.len()..text.len() {
            assert_eq!(read(&text[..end]).unwrap_err(), JobTokenError::Damaged, "{end}");
        }
        for at in PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(read(&changed).unwrap_err(), JobTokenError::Damaged, "{at}");
        }
        let known = "chacha_jt_bm9uY2Ugb2YgMTIuAAAAAAAAAAFzZWFsZWR0YWcgb2YgMTYgYnl0ZXMu_1qUyfx";
        assert!(
            read(known).is_ok(),
            "made by another implementation of the checksum"
        );
        // In the middle of the alphabet of base64, whose sign also ends the checksum.
        assert_eq!(read(&write(&[0xff; 30])).unwrap().sealed, [0xff; 30]);
    }

    #[test]
    fn the_front_of_the_second_form_is_digested() {
        let (front, digest) = write_front("{}");
        let text = write_jwt(&front, b"sealed");
        assert!(is_job_token(&text));
        let token = read(&text).unwrap();
        assert_eq!((token.sealed, token.front), (b"sealed".to_vec(), Some(digest)));
        let other = write_jwt(&write_front("{ }").0, b"sealed");
        assert_ne!(read(&other).unwrap().front, Some(digest));
        for bad in [
            JWT_HEAD.to_owned(),
            format!("{JWT_HEAD}.a.b.c"),
            format!("{text}="),
        ] {
            assert!(is_job_token(&bad), "{bad}");
            assert_eq!(read(&bad).unwrap_err(), JobTokenError::Damaged, "{bad}");
        }
        assert!(!is_job_token("eyJhbGciOiJIUzI1NiJ9.e30.c2ln"));
        assert!(!is_job_token("chacha_j"));
    }

    proptest! {
        #[test]
        fn what_is_read_was_written_so(text in "chacha_jt_[A-Za-z0-9_-]{0,30}") {
            if let Ok(token) = read(&text) {
                prop_assert_eq!(write(&token.sealed), text);
            }
        }
    }
}

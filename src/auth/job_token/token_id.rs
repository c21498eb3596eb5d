//! The names of job tokens.

use std::fmt;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

/// The id of a job token: 16 random bytes, written as 32 hex digits. It is no secret: nobody gets in with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(u128);

impl TokenId {
    /// A new one.
    ///
    /// # Panics
    /// When the operating system has no random bytes.
    pub(in crate::auth) fn random() -> Self {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).expect("random bytes");
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TokenId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let read = match text.len() == 32 && text.bytes().all(is_digit) {
            true => u128::from_str_radix(&text, 16).ok(),
            false => None,
        };
        read.map(Self).ok_or("not the id of a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_read_in_one_spelling() {
        let (one, other) = (TokenId::random(), TokenId::random());
        assert_ne!(one, other);
        let text = one.to_string();
        assert_eq!(TokenId::try_from(text.clone()), Ok(one));
        for bad in [
            text.to_uppercase() + "A",
            format!("+{}", &text[1..]),
            text[1..].into(),
        ] {
            assert!(TokenId::try_from(bad.clone()).is_err(), "{bad}");
        }
    }
}

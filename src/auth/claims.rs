//! The times in the claims of a token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::error::TokenError;

/// The times of a token in seconds since 1970, fractions cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) issued: Option<u64>,
    pub(super) not_before: Option<u64>,
    pub(super) expires: Option<u64>,
}

/// The difference of clocks that is accepted, and the highest age of a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
}

impl Times {
    /// The last second of the year 9999. Later times are refused.
    const MAX_SECONDS: u64 = 253_402_300_799;

    /// Reads `iat`, `nbf` and `exp` (RFC 7519 section 4.1). A `NumericDate` may have a fraction.
    ///
    /// # Errors
    /// [`TokenError::Claim`] for what is not a number from 0 to the end of the year 9999.
    pub(super) fn read(claims: &Map<String, Value>) -> Result<Self, TokenError> {
        let date = |name: &'static str| match claims.get(name) {
            None => Ok(None),
            Some(value) => numeric_date(value).map(Some).ok_or(TokenError::Claim(name)),
        };
        Ok(Self {
            issued: date("iat")?,
            not_before: date("nbf")?,
            expires: date("exp")?,
        })
    }

    /// Checks that `exp` is there, that no time is ahead, and that the token is not too old.
    /// Returns the end of the token's life, leeway included.
    ///
    /// # Errors
    /// The reason why the token is not accepted at the time `now`.
    pub(super) fn check(&self, now: SystemTime, tolerance: Tolerance) -> Result<SystemTime, TokenError> {
        let Tolerance { leeway, max_age } = tolerance;
        let expires = at(self.expires.ok_or(TokenError::Claim("exp"))?) + leeway;
        if expires <= now {
            return Err(TokenError::Expired);
        }
        self.check_begun(now, leeway)?;
        let Some(max_age) = max_age else {
            return Ok(expires);
        };
        let too_old = self.issued.map(at).ok_or(TokenError::Claim("iat"))? + max_age + leeway;
        if too_old <= now {
            Err(TokenError::TooOld)
        } else {
            Ok(expires.min(too_old))
        }
    }

    /// Checks that the life of the token has begun.
    fn check_begun(&self, now: SystemTime, leeway: Duration) -> Result<(), TokenError> {
        let is_ahead = |time: Option<u64>| time.is_some_and(|time| at(time) > now + leeway);
        if is_ahead(self.not_before) {
            return Err(TokenError::NotYetValid);
        }
        match is_ahead(self.issued) {
            true => Err(TokenError::IssuedAhead),
            false => Ok(()),
        }
    }

    /// [`Times::check`] for a token whose time may have run out, at most `grace` ago.
    ///
    /// # Errors
    /// As [`Times::check`].
    pub(super) fn check_late(
        &self,
        now: SystemTime,
        tolerance: Tolerance,
        grace: Duration,
    ) -> Result<SystemTime, TokenError> {
        let Tolerance { leeway, max_age } = tolerance;
        let mut end = at(self.expires.ok_or(TokenError::Claim("exp"))?) + leeway;
        self.check_begun(now, leeway)?;
        if let Some(max_age) = max_age {
            let issued = self.issued.ok_or(TokenError::Claim("iat"))?;
            end = end.min(at(issued) + max_age + leeway);
        }
        match end + grace <= now {
            true => Err(TokenError::Expired),
            false => Ok(end),
        }
    }
}

/// Checks `aud` (RFC 7519 section 4.1.3): one of `accepted`, or a list of texts that holds one. Without accepted
/// ones anything is good.
///
/// # Errors
/// [`TokenError::Audience`], and [`TokenError::Claim`] for what is neither a text nor a list of texts.
pub(super) fn check_audience(claims: &Map<String, Value>, accepted: &[String]) -> Result<(), TokenError> {
    if accepted.is_empty() {
        return Ok(());
    }
    let named = match claims.get("aud") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let texts: Option<Vec<&str>> = named.iter().map(Value::as_str).collect();
    match texts {
        Some(texts) if texts.iter().any(|text| accepted.iter().any(|one| one == text)) => Ok(()),
        Some(_) if claims.contains_key("aud") => Err(TokenError::Audience),
        _ => Err(TokenError::Claim("aud")),
    }
}

/// Seconds since 1970 as a point in time.
pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(Times::MAX_SECONDS))
}

fn numeric_date(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    let seconds = number.as_u64().or_else(|| {
        let float = number
            .as_f64()
            .filter(|float| (0.0..=Times::MAX_SECONDS as f64).contains(float))?;
        Some(float as u64)
    })?;
    (seconds <= Times::MAX_SECONDS).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn times(claims: Value) -> Result<Times, TokenError> {
        Times::read(claims.as_object().unwrap())
    }

    #[test]
    fn dates_are_numbers_of_this_age() {
        assert_eq!(times(json!({"exp": 5})).unwrap().expires, Some(5));
        assert_eq!(
            times(json!({"exp": 1_795_166_000.5})).unwrap().expires,
            Some(1_795_166_000)
        );
        for bad in [
            json!("5"),
            json!(-1),
            json!(-0.5),
            json!(1e30),
            json!(u64::MAX),
            json!(null),
            json!([5]),
        ] {
            assert_eq!(times(json!({"exp": bad})), Err(TokenError::Claim("exp")), "{bad}");
            assert_eq!(
                times(json!({"exp": 5, "iat": bad})),
                Err(TokenError::Claim("iat")),
                "{bad}"
            );
        }
    }

    #[test]
    fn leeway_is_granted_on_both_sides() {
        let tolerance = Tolerance {
            leeway: Duration::from_secs(30),
            max_age: None,
        };
        let check = |claims, now| times(claims).unwrap().check(at(now), tolerance);
        assert_eq!(check(json!({"exp": 1000}), 1029), Ok(at(1030)));
        assert_eq!(check(json!({"exp": 1000}), 1030), Err(TokenError::Expired));
        assert_eq!(check(json!({"exp": 1000, "iat": 530}), 500), Ok(at(1030)));
        assert_eq!(
            check(json!({"exp": 1000, "iat": 531}), 500),
            Err(TokenError::IssuedAhead)
        );
        assert_eq!(check(json!({}), 500), Err(TokenError::Claim("exp")));
        assert_eq!(check(json!({"exp": 1000, "nbf": 530}), 500), Ok(at(1030)));
        assert_eq!(
            check(json!({"exp": 1000, "nbf": 531}), 500),
            Err(TokenError::NotYetValid)
        );
    }

    #[test]
    fn the_audience_is_one_text_or_a_list_of_texts() {
        let check = |aud: Value| {
            let claims = json!({ "aud": aud });
            check_audience(claims.as_object().unwrap(), &["a".into(), "b".into()])
        };
        for good in [json!("a"), json!(["x", "b"])] {
            assert_eq!(check(good.clone()), Ok(()), "{good}");
        }
        for other in [json!("x"), json!(""), json!([]), json!(["x"]), json!("A")] {
            assert_eq!(check(other.clone()), Err(TokenError::Audience), "{other}");
        }
        for bad in [json!(null), json!(5), json!(["a", 5]), json!({"a": "b"})] {
            assert_eq!(check(bad.clone()), Err(TokenError::Claim("aud")), "{bad}");
        }
        assert_eq!(
            check_audience(&Map::new(), &["a".into()]),
            Err(TokenError::Claim("aud"))
        );
        assert_eq!(check_audience(&Map::new(), &[]), Ok(()));
    }

    #[test]
    fn a_late_token_is_late_for_so_long() {
        let tolerance = |max_age| Tolerance {
            leeway: Duration::from_secs(30),
            max_age,
        };
        let grace = Duration::from_secs(60);
        let check = |claims, now, max_age| {
            let tolerance = tolerance(max_age);
            times(claims).unwrap().check_late(at(now), tolerance, grace)
        };
        assert_eq!(check(json!({"exp": 1000}), 1089, None), Ok(at(1030)));
        assert_eq!(check(json!({"exp": 1000}), 1090, None), Err(TokenError::Expired));
        // Issued within the grace: that is no time ahead.
        assert_eq!(check(json!({"exp": 1000, "iat": 996}), 1040, None), Ok(at(1030)));
        assert_eq!(
            check(json!({"exp": 1000, "iat": 1100}), 1040, None),
            Err(TokenError::IssuedAhead)
        );
        assert_eq!(
            check(json!({"exp": 1000, "nbf": 1100}), 1040, None),
            Err(TokenError::NotYetValid)
        );
        assert_eq!(check(json!({"exp": 1000, "nbf": 1070}), 1040, None), Ok(at(1030)));
        let max_age = Some(Duration::from_secs(100));
        assert_eq!(check(json!({"exp": 1000, "iat": 500}), 689, max_age), Ok(at(630)));
        assert_eq!(
            check(json!({"exp": 1000, "iat": 500}), 690, max_age),
            Err(TokenError::Expired)
        );
        assert_eq!(
            check(json!({"exp": 1000}), 500, max_age),
            Err(TokenError::Claim("iat"))
        );
    }

    #[test]
    fn max_age_shortens_the_life() {
        let max_age = Some(Duration::from_secs(100));
        let tolerance = Tolerance {
            leeway: Duration::from_secs(30),
            max_age,
        };
        let check = |claims, now| times(claims).unwrap().check(at(now), tolerance);
        assert_eq!(check(json!({"exp": 1000, "iat": 500}), 600), Ok(at(630)));
        assert_eq!(
            check(json!({"exp": 1000, "iat": 500}), 630),
            Err(TokenError::TooOld)
        );
        assert_eq!(check(json!({"exp": 1000}), 600), Err(TokenError::Claim("iat")));
    }
}

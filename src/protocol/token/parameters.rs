//! The parameters of an exchange, from a form or from JSON with the same names.

use std::fmt;

use http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::error::TokenError;

/// Names and values in their order; names may repeat.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// From a body, by its media type. An empty body has none.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, TokenError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let form = headers
            .get(header::CONTENT_TYPE)
            .map_or(&b""[..], |value| value.as_bytes());
        let form = form
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if form.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            Ok(Self::of_form(body))
        } else if form.eq_ignore_ascii_case(b"application/json") {
            Self::of_json(body)
        } else {
            Err(TokenError::invalid_request(
                "the Content-Type of the body must be application/x-www-form-urlencoded or application/json",
            ))
        }
    }

    fn of_form(body: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(body.trim_ascii());
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    fn of_json(body: &[u8]) -> Result<Self, TokenError> {
        let read = serde_json::from_slice(body);
        let Members(members) =
            read.map_err(|_| TokenError::invalid_request("the body is not a JSON object"))?;
        let mut pairs = Vec::with_capacity(members.len());
        for (name, value) in members {
            let values = match value {
                Value::Null => continue,
                Value::Array(values) => values,
                one => vec![one],
            };
            for value in values {
                let text = match value {
                    Value::String(text) => text,
                    Value::Number(number) => number.to_string(),
                    _ => {
                        return Err(TokenError::invalid_request(
                            "a parameter is neither a text nor a number",
                        ));
                    }
                };
                pairs.push((name.clone(), text));
            }
        }
        Ok(Self(pairs))
    }

    /// All values of a parameter that may repeat. One without a value is none (RFC 6749, section 3.2).
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(found, _)| found == name);
        named
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of a parameter that may not.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, TokenError> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(TokenError::invalid_request(format!(
                "{name} stands there more than once"
            ))),
        }
    }
}

/// The members of an object: of two with one name, both.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

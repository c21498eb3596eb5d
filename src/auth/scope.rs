//! Placeholder until the expression language is merged: `claims.NAME` and string literals glued
//! with `+`. Replaced as a whole.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::identity::{Namespace, Scope};
use crate::error::{Class, Classify};

type Claims = Map<String, Value>;

/// The compiled expressions of one provider.
#[derive(Debug)]
pub(super) struct Rules {
    namespaces: Vec<Vec<Part>>,
    allow_if: Option<String>,
    write_if: Option<String>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Claim(String),
}

/// What the rules grant.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) scope: Scope,
    pub(super) may_write: bool,
    pub(super) write_error: Option<EvalError>,
    pub(super) skipped: Vec<(usize, EvalError)>,
}

/// An expression that cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an expression")]
pub struct RulesError(String);

/// An expression without a result.
#[derive(Debug, thiserror::Error)]
#[error("the claim `{0}` is missing")]
pub struct EvalError(String);

/// Why the rules do not let a caller in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// `allow_if` is false.
    #[error("the token is not allowed by the rules of its provider")]
    NotAllowed,
    /// The first namespace has no value.
    #[error(transparent)]
    Namespace(#[from] EvalError),
}

impl Classify for Refused {
    fn class(&self) -> Class {
        Class::Forbidden
    }

    fn public(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl Rules {
    pub(super) fn compile(
        cache_key_exprs: &[String],
        allow_if: Option<&str>,
        write_if: Option<&str>,
    ) -> Result<Self, RulesError> {
        let namespaces = cache_key_exprs
            .iter()
            .map(|text| parse(text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            namespaces,
            allow_if: allow_if.map(Into::into),
            write_if: write_if.map(Into::into),
        })
    }

    pub(super) fn apply(&self, issuer: &Arc<str>, claims: &Claims) -> Result<Granted, Refused> {
        if !holds(self.allow_if.as_deref(), claims) {
            return Err(Refused::NotAllowed);
        }
        let mut order = Vec::new();
        let mut skipped = Vec::new();
        for (index, parts) in self.namespaces.iter().enumerate() {
            match evaluate(parts, claims) {
                Ok(path) => order.extend(Namespace::new(issuer.clone(), &path)),
                Err(error) if index == 0 => return Err(error.into()),
                Err(error) => skipped.push((index, error)),
            }
        }
        let scope = Scope::new(order).ok_or(Refused::NotAllowed)?;
        Ok(Granted {
            scope,
            may_write: holds(self.write_if.as_deref(), claims),
            write_error: None,
            skipped,
        })
    }
}

fn parse(text: &str) -> Result<Vec<Part>, RulesError> {
    let part = |part: &str| {
        let part = part.trim();
        if let Some(name) = part.strip_prefix("claims.") {
            return Ok(Part::Claim(name.into()));
        }
        let literal = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        literal
            .map(|literal| Part::Text(literal.into()))
            .ok_or_else(|| RulesError(text.into()))
    };
    text.split('+').map(part).collect()
}

fn evaluate(parts: &[Part], claims: &Claims) -> Result<String, EvalError> {
    let mut path = String::new();
    for part in parts {
        match part {
            Part::Text(text) => path.push_str(text),
            Part::Claim(name) => {
                let claim = claims.get(name).and_then(Value::as_str);
                path.push_str(claim.ok_or_else(|| EvalError(name.clone()))?);
            }
        }
    }
    Ok(path)
}

fn holds(condition: Option<&str>, claims: &Claims) -> bool {
    let Some((name, wanted)) = condition.and_then(|text| text.split_once("==")) else {
        return condition != Some("false");
    };
    let name = name.trim().trim_start_matches("claims.");
    claims.get(name).and_then(Value::as_str) == Some(wanted.trim().trim_matches('"'))
}

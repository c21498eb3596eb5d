//! Expressions and claims to rights: which namespaces a caller has, and whether it may write.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::expr::{CompileError, EvalError, Expression, Kind};
use super::identity::{Namespace, Scope};
use crate::error::{Class, Classify};

/// The expressions of one provider, compiled.
#[derive(Debug)]
pub struct Rules {
    /// At least one; the first one is written to.
    namespaces: Vec<Expression>,
    allow_if: Option<Expression>,
    write_if: Option<Expression>,
}

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The namespaces, in the order of their expressions.
    pub scope: Scope,
    /// Whether `write_if` holds; `true` without one.
    pub may_write: bool,
    /// Why `write_if` has no result, if it failed: the caller is read-only then.
    pub write_error: Option<EvalError>,
    /// The fallbacks that this token does not have: the index in `cache_key_exprs`, from 1 up, and
    /// the missing claim.
    pub skipped: Vec<(usize, EvalError)>,
}

/// Where an expression stands in the section of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `cache_key_exprs`, with the index from 0.
    Namespace(usize),
    /// `allow_if`.
    AllowIf,
    /// `write_if`.
    WriteIf,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(index) => write!(f, "cache_key_exprs[{index}]"),
            Self::AllowIf => f.write_str("allow_if"),
            Self::WriteIf => f.write_str("write_if"),
        }
    }
}

/// Why the expressions of a provider cannot be used: everything that is wrong, not only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesError {
    problems: Vec<(Place, CompileError)>,
}

impl RulesError {
    /// Every expression that is wrong, in the order of the file. Empty if `cache_key_exprs` is.
    pub fn problems(&self) -> &[(Place, CompileError)] {
        &self.problems
    }
}

impl std::error::Error for RulesError {}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return f.write_str("cache_key_exprs needs at least one expression");
        }
        for (index, (place, error)) in self.problems.iter().enumerate() {
            let comma = if index > 0 { "; " } else { "" };
            write!(f, "{comma}{place}: {error}")?;
        }
        Ok(())
    }
}

/// Why a verified token gets no rights. Shows names of claims, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `allow_if` is `false`, or has no result.
    #[error("the token is not allowed here{}", because(.error.as_ref()))]
    NotAllowed {
        /// Why it has no result; `None` if it is `false`.
        error: Option<EvalError>,
    },
    /// An expression of `cache_key_exprs` has no usable result.
    #[error("cache_key_exprs[{index}] gives no namespace: {error}")]
    NoNamespace {
        /// Its index, from 0.
        index: usize,
        /// The reason.
        error: EvalError,
    },
}

fn because(error: Option<&EvalError>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
}

impl Classify for Refused {
    fn class(&self) -> Class {
        Class::Forbidden
    }

    fn public(&self) -> Cow<'static, str> {
        match self {
            // A failure inside of the operator's own expression is nothing that a client can act on.
            Self::NotAllowed {
                error: Some(error), ..
            } if error.is_missing() => format!("the token is not allowed here: {error}").into(),
            Self::NotAllowed { .. } => "the token is not allowed here".into(),
            Self::NoNamespace { error, .. } => format!("the token gives no namespace: {error}").into(),
        }
    }
}

impl Rules {
    /// Compiles the expressions of one provider.
    ///
    /// # Errors
    ///
    /// All expressions that are wrong, or that cannot have a result of the right type.
    pub fn compile(
        cache_key_exprs: &[String],
        allow_if: Option<&str>,
        write_if: Option<&str>,
    ) -> Result<Self, RulesError> {
        let mut problems = Vec::new();
        let mut compile = |place, text: &str, wanted| {
            let outcome = Expression::compile(text).and_then(|expression| expression.of_kind(wanted));
            outcome.map_err(|error| problems.push((place, error))).ok()
        };
        let mut namespaces = Vec::with_capacity(cache_key_exprs.len());
        for (index, text) in cache_key_exprs.iter().enumerate() {
            namespaces.extend(compile(Place::Namespace(index), text, Kind::Text));
        }
        let allow_if = allow_if.and_then(|text| compile(Place::AllowIf, text, Kind::Boolean));
        let write_if = write_if.and_then(|text| compile(Place::WriteIf, text, Kind::Boolean));
        if !problems.is_empty() || namespaces.is_empty() {
            return Err(RulesError { problems });
        }
        Ok(Self {
            namespaces,
            allow_if,
            write_if,
        })
    }

    /// What the author should know, for the log at start and for `check`.
    pub fn warnings(&self) -> Vec<(Place, String)> {
        let namespaces = self.namespaces.iter().enumerate();
        let conditions = [(Place::AllowIf, &self.allow_if), (Place::WriteIf, &self.write_if)];
        namespaces
            .map(|(index, expression)| (Place::Namespace(index), expression))
            .chain(
                conditions
                    .into_iter()
                    .filter_map(|(place, e)| Some((place, e.as_ref()?))),
            )
            .flat_map(|(place, expression)| expression.warnings().into_iter().map(move |text| (place, text)))
            .collect()
    }

    /// The rights of a token of `issuer` (the URL as configured) with these claims.
    ///
    /// Everything fails closed: without a result, `allow_if` refuses and `write_if` makes read-only.
    ///
    /// # Errors
    ///
    /// `allow_if` does not hold; the first namespace misses a claim; any namespace is empty, longer
    /// than [`Namespace::MAX_BYTES`], or not a text. A missing claim in a later one skips it.
    pub fn apply(&self, issuer: &Arc<str>, claims: &Map<String, Json>) -> Result<Granted, Refused> {
        self.allowed(claims)?;
        let mut namespaces = Vec::with_capacity(self.namespaces.len());
        let mut skipped = Vec::new();
        for (index, expression) in self.namespaces.iter().enumerate() {
            match expression.text(claims) {
                Ok(path) => namespaces.extend(Namespace::new(Arc::clone(issuer), &path)),
                Err(error) if index > 0 && error.is_missing() => skipped.push((index, error)),
                Err(error) => return Err(Refused::NoNamespace { index, error }),
            }
        }
        // The first expression either gave a namespace or returned above.
        let scope = Scope::new(namespaces).ok_or(Refused::NoNamespace {
            index: 0,
            error: EvalError::Empty,
        })?;
        let write = self
            .write_if
            .as_ref()
            .map_or(Ok(true), |rule| rule.condition(claims));
        Ok(Granted {
            scope,
            may_write: matches!(write, Ok(true)),
            write_error: write.err(),
            skipped,
        })
    }

    fn allowed(&self, claims: &Map<String, Json>) -> Result<(), Refused> {
        let allowed = self
            .allow_if
            .as_ref()
            .map_or(Ok(true), |rule| rule.condition(claims));
        match allowed {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::NotAllowed { error: None }),
            Err(error) => Err(Refused::NotAllowed { error: Some(error) }),
        }
    }
}

/// Refuses an expression that has another type for every token.
#[cfg(test)]
mod tests;

//! The errors of a provider's rules, and of tokens that get no rights.

use std::borrow::Cow;
use std::fmt;

use super::super::expr::{CompileError, EvalError};
use super::super::tenancy::TenancyError;
use super::ac::AcError;
use crate::error::{Class, Classify};

/// Where an expression stands in the section of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePlace {
    /// `cache_key_exprs`, with the index from 0.
    Namespace(usize),
    /// `allow_if`.
    AllowIf,
    /// `write_if`.
    WriteIf,
    /// `tenant`.
    Tenant,
    /// `group`.
    Group,
    /// `protect_if`.
    ProtectIf,
}

impl fmt::Display for RulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(index) => write!(f, "cache_key_exprs[{index}]"),
            Self::AllowIf => f.write_str("allow_if"),
            Self::WriteIf => f.write_str("write_if"),
            Self::Tenant => f.write_str("tenant"),
            Self::Group => f.write_str("group"),
            Self::ProtectIf => f.write_str("protect_if"),
        }
    }
}

/// Why the expressions of a provider cannot be used: everything that is wrong, not only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesError {
    pub(super) problems: Vec<(RulePlace, CompileError)>,
}

impl RulesError {
    /// Every expression that is wrong, in the order of the file. Empty if there is nothing that gives a
    /// namespace.
    pub fn problems(&self) -> &[(RulePlace, CompileError)] {
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
pub enum RightsError {
    /// `allow_if` is `false`, or has no result.
    #[error("allow_if {}", because(.error.as_ref()))]
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
    /// With `scopes: ac`: the token does not say which scopes it has, or not in a form that can be used.
    #[error("scopes: ac gives no namespace: {0}")]
    NoScopes(#[from] AcError),
    /// `tenant` or `group` has no usable result.
    #[error("{place} gives no value: {error}")]
    NoTenant {
        /// Which of both.
        place: RulePlace,
        /// The reason.
        error: EvalError,
    },
}

fn because(error: Option<&EvalError>) -> String {
    error.map_or_else(
        || "is false".to_owned(),
        |error| format!("has no result: {error}"),
    )
}

impl From<TenancyError> for RightsError {
    fn from(error: TenancyError) -> Self {
        let (place, error) = match error {
            TenancyError::Tenant(error) => (RulePlace::Tenant, error),
            TenancyError::Group(error) => (RulePlace::Group, error),
        };
        Self::NoTenant { place, error }
    }
}

impl Classify for RightsError {
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
            Self::NoScopes(error) => format!("the token gives no namespace: {error}").into(),
            Self::NoTenant { place, error } => format!("the token gives no {place}: {error}").into(),
        }
    }
}

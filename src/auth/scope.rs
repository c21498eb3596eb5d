//! Expressions, scopes and claims to rights: which namespaces a caller has, and whether it may write.

mod ac;
mod error;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::expr::{EvalError, Expression, ValueKind};
use super::identity::{Namespace, Scope};
use super::run_claims;
use super::tenancy::{self, GrantedTenancy, TenancyRules};
use crate::config::{ProviderConfig, TokenScopes};

pub use ac::AcError;
pub use error::{RightsError, RulePlace, RulesError};

/// The expressions of one provider, compiled, and where namespaces come from besides.
#[derive(Debug)]
pub struct Rules {
    /// The first one is written to. Empty only with `scopes`.
    namespaces: Vec<Expression>,
    scopes: Option<TokenScopes>,
    allow_if: Option<Expression>,
    write_if: Option<Expression>,
    tenancy: TenancyRules,
}

/// The rights that the rules grant to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The namespaces, in the order of their expressions or scopes.
    pub scope: Scope,
    /// Where they come from.
    pub source: NamespaceSource,
    /// Whom the writes belong to.
    pub tenancy: GrantedTenancy,
    /// Whether the writable one may be written: the token's scopes say so, if it has any, and `write_if`
    /// holds, if there is one.
    pub may_write: bool,
    /// Why `write_if` has no result, if it failed: the caller is read-only then.
    pub write_error: Option<EvalError>,
    /// The fallbacks that this token does not have: the index in `cache_key_exprs`, from 1 up, and
    /// the missing claim.
    pub skipped: Vec<(usize, EvalError)>,
}

/// Where the namespaces of a token come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceSource {
    /// `cache_key_exprs`.
    Expressions,
    /// The claim `ac`.
    Ac,
}

impl NamespaceSource {
    /// The name of a namespace for clients of GitHub's cache: of its scope, else its text.
    pub(super) fn scope_name(self, claims: &Map<String, Json>, namespace: &Namespace) -> String {
        let named = match self {
            Self::Ac => ac::scope_name(claims, namespace),
            Self::Expressions => None,
        };
        named.unwrap_or_else(|| namespace.path().to_string())
    }
}

impl Rules {
    /// Compiles the expressions of one provider.
    ///
    /// # Errors
    /// All expressions that are wrong, or that cannot have a result of the right type. Without `scopes`, there
    /// has to be one that gives a namespace.
    pub fn compile(config: &ProviderConfig) -> Result<Self, RulesError> {
        let mut problems = Vec::new();
        let mut compile = |place, text: &str| {
            let outcome = Expression::compile(text).and_then(|expression| match place {
                RulePlace::Namespace(_) => expression.of_kind(ValueKind::Text),
                RulePlace::Tenant | RulePlace::Group => expression.of_text_or_number(),
                RulePlace::AllowIf | RulePlace::WriteIf | RulePlace::ProtectIf => {
                    expression.of_kind(ValueKind::Boolean)
                }
            });
            outcome.map_err(|error| problems.push((place, error))).ok()
        };
        let mut namespaces = Vec::with_capacity(config.cache_key_exprs.len());
        for (index, text) in config.cache_key_exprs.iter().enumerate() {
            namespaces.extend(compile(RulePlace::Namespace(index), text));
        }
        let mut rule = |place, text: &Option<String>| compile(place, text.as_deref()?);
        let rules = Self {
            namespaces,
            scopes: config.scopes,
            allow_if: rule(RulePlace::AllowIf, &config.allow_if),
            write_if: rule(RulePlace::WriteIf, &config.write_if),
            tenancy: TenancyRules {
                tenant: rule(RulePlace::Tenant, &config.tenant),
                group: rule(RulePlace::Group, &config.group),
                protect_if: rule(RulePlace::ProtectIf, &config.protect_if),
            },
        };
        match problems.is_empty() && (!rules.namespaces.is_empty() || rules.scopes.is_some()) {
            true => Ok(rules),
            false => Err(RulesError { problems }),
        }
    }

    /// Warnings for the author, for the log at start and for `check`.
    pub fn warnings(&self) -> Vec<(RulePlace, String)> {
        let namespaces = self.namespaces.iter().enumerate();
        let namespaces = namespaces.map(|(index, expression)| (RulePlace::Namespace(index), expression));
        let allow_if = self.allow_if.iter().map(|rule| (RulePlace::AllowIf, rule));
        let write_if = self.write_if.iter().map(|rule| (RulePlace::WriteIf, rule));
        let tenancy = &self.tenancy;
        let tenant = tenancy.tenant.iter().map(|rule| (RulePlace::Tenant, rule));
        let group = tenancy.group.iter().map(|rule| (RulePlace::Group, rule));
        let protect_if = tenancy.protect_if.iter().map(|rule| (RulePlace::ProtectIf, rule));
        let all = namespaces.chain(allow_if).chain(write_if);
        let all = all.chain(tenant).chain(group).chain(protect_if);
        all.flat_map(|(place, expression)| expression.warnings().into_iter().map(move |text| (place, text)))
            .collect()
    }

    /// The names of the claims that decide about a token: those in the expressions, and those that are looked at without one.
    pub(super) fn claim_names(&self) -> BTreeSet<String> {
        let rules = [&self.allow_if, &self.write_if].into_iter().flatten();
        let tenancy = &self.tenancy;
        let whose = [&tenancy.tenant, &tenancy.group, &tenancy.protect_if]
            .into_iter()
            .flatten();
        let expressions = self.namespaces.iter().chain(rules).chain(whose);
        let mut names: BTreeSet<String> = expressions.flat_map(Expression::claim_names).collect();
        let scopes = self.scopes.map_or(&[][..], |TokenScopes::Ac| ac::NAMES);
        let always = ["sub", "aud"]
            .iter()
            .chain(scopes)
            .chain(tenancy::NAMES)
            .chain(run_claims::NAMES);
        names.extend(always.map(|name| (*name).to_owned()));
        names
    }

    /// The rights of a token of `issuer` (the URL as configured) with these claims.
    ///
    /// Everything fails closed: without a result, `allow_if` refuses and `write_if` makes read-only. `write_if`
    /// never gives a right that the scopes of the token do not give.
    ///
    /// # Errors
    /// `allow_if` does not hold; the first namespace misses a claim; any namespace is empty, longer
    /// than [`Namespace::MAX_BYTES`], or not a text. A missing claim in a later one skips it. With `scopes`:
    /// the claim is malformed, which no expression makes good; or it is missing, and there is no expression. `tenant` or
    /// `group` has no result.
    pub fn apply(&self, issuer: &Arc<str>, claims: &Map<String, Json>) -> Result<Granted, RightsError> {
        self.allowed(claims)?;
        let mut granted = match (self.scopes, claims.get(ac::AC_CLAIM)) {
            (Some(TokenScopes::Ac), Some(value)) => self.by_ac(issuer, claims, value)?,
            (Some(TokenScopes::Ac), None) if self.namespaces.is_empty() => {
                return Err(AcError::Missing.into());
            }
            _ => self.by_expressions(issuer, claims)?,
        };
        match self.write_if.as_ref().map(|rule| rule.condition(claims)) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => granted.may_write = false,
            Some(Err(error)) => {
                granted.may_write = false;
                granted.write_error = Some(error);
            }
        }
        Ok(granted)
    }

    fn by_ac(
        &self,
        issuer: &Arc<str>,
        claims: &Map<String, Json>,
        value: &Json,
    ) -> Result<Granted, RightsError> {
        let ac::AcScope {
            scope,
            may_write,
            reference,
        } = ac::scope(issuer, claims, value)?;
        let tenancy = &self.tenancy;
        Ok(Granted {
            tenancy: tenancy.apply(issuer, claims, scope.writable(), Some(&reference))?,
            scope,
            source: NamespaceSource::Ac,
            may_write,
            write_error: None,
            skipped: Vec::new(),
        })
    }

    fn by_expressions(&self, issuer: &Arc<str>, claims: &Map<String, Json>) -> Result<Granted, RightsError> {
        let mut namespaces = Vec::with_capacity(self.namespaces.len());
        let mut skipped = Vec::new();
        for (index, expression) in self.namespaces.iter().enumerate() {
            match expression.text(claims) {
                Ok(path) => namespaces.extend(Namespace::new(Arc::clone(issuer), &path)),
                Err(error) if index > 0 && error.is_missing() => skipped.push((index, error)),
                Err(error) => return Err(RightsError::NoNamespace { index, error }),
            }
        }
        // The first expression either gave a namespace or returned above.
        let scope = Scope::new(namespaces).ok_or(RightsError::NoNamespace {
            index: 0,
            error: EvalError::Empty,
        })?;
        Ok(Granted {
            tenancy: self.tenancy.apply(issuer, claims, scope.writable(), None)?,
            scope,
            source: NamespaceSource::Expressions,
            may_write: true,
            write_error: None,
            skipped,
        })
    }

    fn allowed(&self, claims: &Map<String, Json>) -> Result<(), RightsError> {
        match self.allow_if.as_ref().map(|rule| rule.condition(claims)) {
            None | Some(Ok(true)) => Ok(()),
            Some(outcome) => Err(RightsError::NotAllowed { error: outcome.err() }),
        }
    }
}

#[cfg(test)]
mod tests;

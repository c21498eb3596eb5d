//! Claims to tenancy: who shares the fate of what a caller writes, and how dear that is to them.
//!
//! Decided once for a token. An operator's expression goes first; without one the claims that are there say it, whatever
//! the issuer.

mod claims;
mod rank;
#[cfg(test)]
mod tests;

pub(super) use claims::{NAMES, claim_text};

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::expr::{EvalError, Expression};
use super::identity::Namespace;
use crate::store::{Digest, Rank, Tenancy, Tenant};

/// Digits of a digest that stands for a value that is too long: 128 bits.
const DIGEST_DIGITS: usize = 32;

/// The expressions of one provider that say who a tenant is; all may be absent.
#[derive(Debug, Default)]
pub(super) struct TenancyRules {
    pub(super) tenant: Option<Expression>,
    pub(super) group: Option<Expression>,
    pub(super) protect_if: Option<Expression>,
}

/// Where the tenant of a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantSource {
    /// `tenant` of the provider.
    Expression,
    /// A claim that names a repository, a project or a service account.
    Claims,
    /// No such claim is there: the first namespace.
    Namespace,
}

/// Whom the writes of a token belong to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedTenancy {
    /// Whom they belong to.
    pub tenancy: Tenancy,
    /// Where the tenant comes from.
    pub source: TenantSource,
    /// Why `protect_if` has no result, if it failed: nothing is protected then.
    pub protect_error: Option<EvalError>,
}

/// Which expression gives no value, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TenancyError {
    Tenant(EvalError),
    Group(EvalError),
}

impl TenancyRules {
    /// The tenancy of a token of `issuer` with these claims, which writes to `namespace`. `reference` is the ref of its
    /// scope, if its rights came with scopes.
    ///
    /// # Errors
    /// An expression of the operator has no value.
    pub(super) fn apply(
        &self,
        issuer: &Arc<str>,
        claims: &Map<String, Json>,
        namespace: &Namespace,
        reference: Option<&str>,
    ) -> Result<GrantedTenancy, TenancyError> {
        let (source, value) = match &self.tenant {
            Some(rule) => {
                let value = rule.text_or_number(claims).map_err(TenancyError::Tenant)?;
                (TenantSource::Expression, value)
            }
            None => match claims::tenant(claims) {
                Some(value) => (TenantSource::Claims, value),
                None => (TenantSource::Namespace, namespace.path().to_string()),
            },
        };
        let group = match &self.group {
            Some(rule) => Some(rule.text_or_number(claims).map_err(TenancyError::Group)?),
            None => claims::group(claims),
        };
        let group = group.as_deref().map(shortened);
        let tenant = Tenant::new(issuer, &shortened(&value), group.as_deref());
        let tenant = tenant.ok_or(TenancyError::Tenant(EvalError::Empty))?;
        let (rank, protect_error) = self.rank(claims, reference);
        Ok(GrantedTenancy {
            tenancy: Tenancy { tenant, rank },
            source,
            protect_error,
        })
    }

    /// `protect_if` counts in the place of the claims that say that something is protected.
    fn rank(&self, claims: &Map<String, Json>, reference: Option<&str>) -> (Rank, Option<EvalError>) {
        let by_claims = rank::by_claims(claims, reference);
        match self.protect_if.as_ref().map(|rule| rule.condition(claims)) {
            None => (by_claims, None),
            Some(Ok(true)) => (Rank::Protected, None),
            Some(Ok(false)) => (by_claims.max(Rank::Pushed), None),
            Some(Err(error)) => (by_claims.max(Rank::Pushed), Some(error)),
        }
    }
}

/// `value`, or a digest of it if it is longer than a tenant may be: two values stay two.
fn shortened(value: &str) -> Cow<'_, str> {
    match value.len() > Tenant::MAX_BYTES {
        true => Digest::of(value.as_bytes()).to_string()[..DIGEST_DIGITS]
            .to_owned()
            .into(),
        false => value.into(),
    }
}

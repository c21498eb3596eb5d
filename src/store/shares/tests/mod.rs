//! The shares against an oracle that computes max-min shares from nothing but what everybody holds.

mod cases;
mod model;
mod oracle;

use super::terms::{ShareRules, TenantTerms};
use crate::store::tenant::Tenant;

/// The tenant with this number in this group.
pub(super) fn tenant(number: usize, group: usize) -> Tenant {
    let (number, group) = (number.to_string(), group.to_string());
    Tenant::new("https://issuer.test", &number, Some(&group)).expect("a tenant")
}

/// Rules for the tenants that [`tenant`] makes: weight and reservations by number.
#[derive(Debug, Clone, Default)]
pub(super) struct TestRules {
    pub(super) reservations: Vec<u64>,
    pub(super) terms: Vec<(u32, Vec<usize>)>,
}

impl ShareRules for TestRules {
    fn reservations(&self) -> Vec<u64> {
        self.reservations.clone()
    }

    fn terms(&self, tenant: &Tenant) -> TenantTerms {
        let number = tenant
            .name()
            .rsplit('#')
            .next()
            .and_then(|name| name.parse().ok());
        let terms = number.and_then(|number: usize| self.terms.get(number));
        let (weight, reservations) = terms.cloned().unwrap_or((1, Vec::new()));
        TenantTerms {
            weight,
            reservations: reservations.into(),
            ..TenantTerms::default()
        }
    }
}

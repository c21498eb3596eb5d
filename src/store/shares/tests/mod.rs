//! The shares against an oracle that computes max-min shares from nothing but what everybody holds.

mod cases;
mod figures;
mod model;
mod oracle;

use crate::config::{Share, TenantRule};
use crate::store::tenant::Tenant;
use crate::store::tenant_rules::TenantRules;

/// The tenant with this number in this group.
fn tenant(number: usize, group: usize) -> Tenant {
    named(&number.to_string(), group)
}

fn named(name: &str, group: usize) -> Tenant {
    Tenant::new("https://issuer.test", name, Some(&group.to_string())).expect("a tenant")
}

/// Rules for some tenants.
#[derive(Debug, Clone, Default)]
struct TestRules {
    /// Bytes of each reservation.
    reservations: Vec<u64>,
    /// Weight of each tenant, and the reservations of which it has a part.
    tenants: Vec<(u32, Vec<usize>)>,
}

impl TestRules {
    /// One of these tenants.
    fn tenant(&self, number: usize, group: usize) -> Tenant {
        let parts = self.tenants[number].1.iter().map(|part| format!("-r{part}"));
        named(&format!("{number}{}", parts.collect::<String>()), group)
    }

    fn rules(&self) -> TenantRules {
        let reservation = |(number, bytes): (usize, &u64)| TenantRule {
            pattern: format!("*-r{number}*"),
            min_share: Some(Share::Bytes(*bytes)),
            ..TenantRule::default()
        };
        let weight = |(number, (weight, _)): (usize, &(u32, Vec<usize>))| {
            ["", "-*"].map(|end| TenantRule {
                pattern: format!("https://issuer.test#{number}{end}"),
                weight: Some(*weight),
                ..TenantRule::default()
            })
        };
        let reservations = self.reservations.iter().enumerate().map(reservation);
        let weights = self.tenants.iter().enumerate().flat_map(weight);
        TenantRules::new(&reservations.chain(weights).collect::<Vec<_>>(), 0)
    }
}

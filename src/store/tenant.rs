//! Whom bytes belong to: tenants, the groups that tenants form, and ranks inside of a tenant.
//!
//! A tenant is the unit of fairness, a namespace the unit of isolation. A tenant has many namespaces, and shares
//! nothing but its fate with them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::key::Digest;
use super::turns::Asker;
use crate::named::named_enum;

/// What stands in a name as it is. No separator, no space, and none of the characters of a glob.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b'@');

/// Between issuer and value: neither can hold it.
const SEPARATOR: char = '#';

/// Who shares a fate: a repository, a project, or what an operator's expression makes of the claims.
///
/// Two tenants are the same if their names and those of their groups are.
#[derive(Clone)]
pub struct Tenant(Arc<TenantParts>);

struct TenantParts {
    name: Box<str>,
    group: Box<str>,
    digest: Digest,
    label: Arc<str>,
}

impl Tenant {
    /// Longest value of a tenant or a group, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// The tenant `value` of `issuer` (the URL as configured) in the group `group` of the same issuer. Without a
    /// group, all tenants of the issuer form one.
    ///
    /// `None` if a value is empty or longer than [`Tenant::MAX_BYTES`].
    pub fn new(issuer: &str, value: &str, group: Option<&str>) -> Option<Self> {
        let group = match group {
            Some(group) => printed(issuer, group)?,
            None => utf8_percent_encode(issuer, ENCODED).to_string(),
        };
        Some(Self::from_names(&printed(issuer, value)?, &group))
    }

    /// The tenant with the names that [`Tenant::name`] and [`Tenant::group`] gave.
    pub fn from_names(name: &str, group: &str) -> Self {
        let digest = Digest::of(format!("{}\n{group}{name}", group.len()).as_bytes());
        Self(Arc::new(TenantParts {
            name: name.into(),
            group: group.into(),
            digest,
            label: digest.to_string()[..12].into(),
        }))
    }

    /// Issuer and value, as rules match them and `explain` prints them.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The group: issuer and value, or the issuer alone.
    pub fn group(&self) -> &str {
        &self.0.group
    }

    /// Tells tenants apart: over both names.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// Whose turn it is when this tenant asks for something.
    pub fn asker(&self) -> Asker {
        let digest = self.0.digest.as_bytes();
        Asker::of_digest(std::array::from_fn(|at| digest[at]))
    }

    /// A name for logs and metrics that reveals nothing: the first 12 hex digits of the digest.
    pub fn label(&self) -> &Arc<str> {
        &self.0.label
    }
}

fn printed(issuer: &str, value: &str) -> Option<String> {
    if value.is_empty() || value.len() > Tenant::MAX_BYTES {
        return None;
    }
    let issuer = utf8_percent_encode(issuer, ENCODED);
    Some(format!(
        "{issuer}{SEPARATOR}{}",
        utf8_percent_encode(value, ENCODED)
    ))
}

impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for Tenant {}

impl Hash for Tenant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

/// The label only: names are for `explain` and for rules.
impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.0.label)
    }
}

named_enum! {
    /// How dear an entry is to its own tenant. When a tenant has to give room, the last rank goes first.
    ///
    /// The numbers are stored with entries. Never change the order.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Rank {
        /// Protected by a claim, or by the operator's rule.
        Protected = "protected",
        /// Other pushes.
        Pushed = "pushed",
        /// Pull requests and all else.
        Other = "other",
    }
}

impl Rank {
    /// Its place in [`Rank::ALL`].
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The rank with this number; [`Rank::Other`] for those that only a later version knows.
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Other)
    }
}

/// Whom an entry or an upload belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tenancy {
    /// Who shares its fate.
    pub tenant: Tenant,
    /// How dear it is to that tenant.
    pub rank: Rank,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_forged_by_gluing_and_hold_no_glob() {
        let plain = Tenant::new("https://issuer.test", "42", Some("7")).unwrap();
        assert_eq!(plain.name(), "https://issuer.test#42");
        assert_eq!(plain.group(), "https://issuer.test#7");
        let glued = Tenant::new("https://issuer.test", "4#2*?[é]", None).unwrap();
        assert_eq!(glued.name(), "https://issuer.test#4%232%2A%3F%5B%C3%A9%5D");
        assert_eq!(glued.group(), "https://issuer.test");
    }

    #[test]
    fn a_tenant_is_its_name_and_its_group() {
        let of = |value, group| Tenant::new("https://issuer.test", value, Some(group)).unwrap();
        assert_eq!(of("a", "b"), of("a", "b"));
        assert_ne!(of("a", "b"), of("a", "c"));
        assert_ne!(of("a", "b"), of("b", "b"));
        let same = of("a", "b");
        assert_eq!(Tenant::from_names(same.name(), same.group()), same);
    }

    #[test]
    fn a_value_that_is_empty_or_too_long_makes_no_tenant() {
        assert!(Tenant::new("https://issuer.test", "", None).is_none());
        assert!(Tenant::new("https://issuer.test", "a", Some("")).is_none());
        assert!(Tenant::new("https://issuer.test", &"a".repeat(257), None).is_none());
    }
}

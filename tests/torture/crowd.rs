//! Tenants that flood: how many there are, and whom their tokens name.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::world::TENANTS;

/// The tenant that stays within its share.
pub(crate) const QUIET: usize = TENANTS;
/// The first one that floods.
pub(crate) const FIRST: usize = QUIET + 1;
/// Groups besides those of a crowd: of the registers, of the quiet tenant, and of entries whose tenant nobody knows.
const OTHER_GROUPS: u64 = 3;

/// Who floods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    One,
    /// Each with an owner of its own.
    Ten,
    /// Several hundred of one owner.
    Group,
    /// Several hundred, each with an owner of its own.
    Groups,
}

const NAMES: [(&str, Crowd); 4] = [
    ("one", Crowd::One),
    ("ten", Crowd::Ten),
    ("group", Crowd::Group),
    ("groups", Crowd::Groups),
];

impl Crowd {
    pub(crate) fn tenants(self) -> usize {
        match self {
            Self::One => 1,
            Self::Ten => 10,
            Self::Group | Self::Groups => 300,
        }
    }

    fn groups(self) -> u64 {
        match self {
            Self::Group => 1,
            other => other.tenants() as u64,
        }
    }

    /// What the quiet tenant holds on a tier of `limit` bytes: half of its share when everybody holds something.
    pub(crate) fn quiet_bytes(self, limit: u64) -> u64 {
        limit * 95 / 100 / (self.groups() + OTHER_GROUPS) / 2
    }

    /// Claims of the quiet tenant, then of all others.
    pub(crate) fn claims(self) -> impl Iterator<Item = Value> {
        let quiet = claims("quiet", "quiet");
        let others = (0..self.tenants()).map(move |nth| {
            let name = format!("crowd-{nth}");
            claims(&name, if self == Self::Group { "crowd" } else { &name })
        });
        std::iter::once(quiet).chain(others)
    }
}

fn claims(tenant: &str, group: &str) -> Value {
    json!({
        "repository": format!("{group}/{tenant}"), "repository_id": tenant, "repository_owner_id": group,
        "ref": "refs/heads/main",
    })
}

impl FromStr for Crowd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        let (_, crowd) =
            found.ok_or_else(|| format!("{text:?} is no crowd; there are: one ten group groups"))?;
        Ok(*crowd)
    }
}

impl std::fmt::Display for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = NAMES.iter().find(|(_, crowd)| crowd == self);
        f.write_str(name.expect("every crowd has a name").0)
    }
}

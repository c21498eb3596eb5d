//! What a job asks for in an exchange, and what of it it gets: never more than its token grants.

use super::super::identity::Namespace;
use super::super::scope::{Granted, NamespaceSource};
use super::bound::with_rights;

/// The rights that a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RightsChoice {
    /// To read.
    pub read: bool,
    /// To write.
    pub write: bool,
}

/// The namespace that a job asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceChoice {
    /// By its place: 0 is the one that the token writes to, the others follow in the order in which they are read.
    Index(usize),
    /// By its text.
    Text(String),
}

/// To what a job wants its token restricted. Without a choice it gets all that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restriction {
    /// The rights that are left.
    pub rights: Option<RightsChoice>,
    /// The only namespace that is left.
    pub namespace: Option<NamespaceChoice>,
}

/// The rights of the new token.
#[derive(Debug)]
pub(in crate::auth) struct Narrowed {
    pub(in crate::auth) granted: Granted,
    /// Why it may not write, if the one before it could.
    pub(in crate::auth) read_only_because: Option<&'static str>,
}

/// Why there is no such token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum NarrowError {
    NoSuchNamespace,
    NothingLeft,
}

impl Restriction {
    /// The rights that are left of `granted`.
    pub(in crate::auth) fn narrow(&self, granted: Granted) -> Result<Narrowed, NarrowError> {
        let rights = self.rights.unwrap_or(RightsChoice {
            read: true,
            write: true,
        });
        let chosen = self.namespace.as_ref().map(|choice| choice.find(&granted));
        let chosen = chosen.map(|found| found.ok_or(NarrowError::NoSuchNamespace));
        let chosen = chosen.transpose()?;
        let is_chosen = |namespace: &Namespace| chosen.as_ref().is_none_or(|one| one == namespace);
        let readable = granted
            .scope
            .readable()
            .filter(|one| rights.read && is_chosen(one));
        let readable = readable.cloned().collect();
        let writes_there = is_chosen(granted.scope.writable());
        let may_write = granted.may_write && rights.write && writes_there;
        let read_only_because = match (granted.may_write, rights.write, writes_there) {
            (true, false, _) => Some("only the right to read was asked for"),
            (true, true, false) => Some("the namespace that was asked for is one to read from"),
            _ => None,
        };
        let granted = with_rights(granted, readable, may_write);
        Ok(Narrowed {
            granted: granted.ok_or(NarrowError::NothingLeft)?,
            read_only_because,
        })
    }
}

impl NamespaceChoice {
    fn find(&self, granted: &Granted) -> Option<Namespace> {
        let first = granted.scope.writable();
        let others = granted.scope.readable().filter(|one| *one != first);
        let mut all = std::iter::once(first).chain(others);
        match self {
            Self::Index(index) => all.nth(*index),
            Self::Text(text) => all.find(|one| **one.path() == **text),
        }
        .cloned()
    }
}

/// Why a token of a CI system may not write by the rules; `None` if it may. Shows no value of a claim.
pub(in crate::auth) fn read_only_reason(granted: &Granted) -> Option<String> {
    if granted.may_write {
        return None;
    }
    Some(match (&granted.write_error, granted.source) {
        (Some(error), _) if error.is_missing() => format!("write_if has no result: {error}"),
        (Some(_), _) => "write_if has no result".to_owned(),
        (None, NamespaceSource::Ac) => "the scopes of the token or write_if do not allow it".to_owned(),
        (None, NamespaceSource::Expressions) => "write_if does not hold".to_owned(),
    })
}

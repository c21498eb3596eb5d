//! The explanation of a token for `chacha explain`: what it grants, and why.

use std::fmt;
use std::sync::Arc;

use super::claims::Times;
use super::error::{Error, KeyLabel, printable};
use super::identity::Identity;
use super::scope::{Granted, NamespaceSource};
use super::tenancy::TenantSource;
use super::token::UnverifiedToken;
use crate::store::Tenancy;

/// Longest value shown, in characters.
const MAX_SHOWN_CHARS: usize = 300;

/// The explanation of one token. It may hold values of claims, which are for the token's owner and not for logs.
#[derive(Debug)]
pub struct Explanation {
    /// `iss` as the token has it, escaped; unverified if the outcome is an error.
    pub issuer: Option<String>,
    /// `alg` as the token has it, escaped.
    pub algorithm: Option<String>,
    /// `kid` as the token has it.
    pub key: KeyLabel,
    /// `iat` in seconds since 1970.
    pub issued: Option<u64>,
    /// `nbf` in seconds since 1970.
    pub not_before: Option<u64>,
    /// `exp` in seconds since 1970.
    pub expires: Option<u64>,
    /// The rights of the token, or the exact reason why it has none.
    pub outcome: Result<Rights, Error>,
}

/// The rights of a token.
#[derive(Debug)]
pub struct Rights {
    /// The id of the key that verified it; `None` if the issuer's only key has no id.
    pub key: Option<Arc<str>>,
    /// Namespaces in the order in which they are read, and whether the writable one may be written.
    pub identity: Identity,
    /// Where the namespaces come from.
    pub source: NamespaceSource,
    /// Where the tenant comes from.
    pub tenant_source: TenantSource,
    /// Expressions without a value: index from 0 in `cache_key_exprs`, and why.
    pub skipped: Vec<(usize, String)>,
    /// Why `write_if` has no result, if it failed; the token is read-only then.
    pub write_error: Option<String>,
    /// Why `protect_if` has no result, if it failed; nothing is protected then.
    pub protect_error: Option<String>,
}

impl Rights {
    pub(super) fn new(identity: Identity, granted: Granted, key: Option<Arc<str>>) -> Self {
        let skipped = granted.skipped.into_iter();
        let skipped = skipped.map(|(index, reason)| (index, reason.to_string()));
        Self {
            key,
            identity,
            source: granted.source,
            tenant_source: granted.tenancy.source,
            skipped: skipped.collect(),
            write_error: granted.write_error.map(|reason| reason.to_string()),
            protect_error: granted.tenancy.protect_error.map(|reason| reason.to_string()),
        }
    }
}

impl Explanation {
    /// `None` for credentials that hold no token.
    pub(super) fn new(token: Option<&UnverifiedToken<'_>>, outcome: Result<Rights, Error>) -> Self {
        let times = token.and_then(|token| Times::read(token.claims()).ok());
        Self {
            issuer: token.map(|token| shown(token.issuer())),
            algorithm: token.map(|token| shown(token.algorithm())),
            key: KeyLabel::new(token.and_then(|token| token.key_id())),
            issued: times.and_then(|times| times.issued),
            not_before: times.and_then(|times| times.not_before),
            expires: times.and_then(|times| times.expires),
            outcome,
        }
    }
}

impl fmt::Display for Explanation {
    /// Several lines, each `name: value`, without a line end at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: Option<String>| match value {
            Some(value) => writeln!(f, "{name}: {value}"),
            None => Ok(()),
        };
        line("issuer", self.issuer.clone())?;
        line("algorithm", self.algorithm.clone())?;
        line("key", self.key.as_str().map(Into::into))?;
        line("issued", self.issued.map(|seconds| seconds.to_string()))?;
        line("not before", self.not_before.map(|seconds| seconds.to_string()))?;
        line("expires", self.expires.map(|seconds| seconds.to_string()))?;
        match &self.outcome {
            Ok(rights) => rights.fmt(f),
            Err(error) => write!(f, "refused: {error}"),
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { scope, may_write, .. } = &self.identity;
        self.write_tenancy(f)?;
        write!(f, "accepted: {}", rights(scope.readable().len() > 0, *may_write))?;
        if self.source == NamespaceSource::Ac {
            f.write_str("\nscopes: from the claim `ac`")?;
        }
        for (index, namespace) in scope.readable().enumerate() {
            write!(f, "\nnamespace {}: \"{}\"", index + 1, shown(namespace.path()))?;
        }
        let written = scope.writable();
        if *may_write && scope.readable().next() != Some(written) {
            write!(f, "\nwritten, but not read: \"{}\"", shown(written.path()))?;
        }
        for (index, reason) in &self.skipped {
            write!(f, "\nexpression {} skipped: {}", index + 1, shown(reason))?;
        }
        match &self.write_error {
            Some(reason) => write!(f, "\nwrite_if failed: {}", shown(reason)),
            None => Ok(()),
        }
    }
}

impl Rights {
    /// Names stand as `tenants` in the configuration matches them: nothing in them has to be escaped.
    fn write_tenancy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tenancy { tenant, rank } = &self.identity.tenancy;
        writeln!(f, "tenant: {}", tenant.name())?;
        if self.tenant_source == TenantSource::Namespace {
            writeln!(
                f,
                "fallback: the tenant is the first namespace, as no claim names a repository or a project; set `tenant` of \
                 the provider"
            )?;
        }
        writeln!(f, "group: {}\nrank: {}", tenant.group(), rank.as_str())?;
        if let Some(reason) = &self.protect_error {
            writeln!(f, "protect_if failed: {}", shown(reason))?;
        }
        writeln!(f, "in logs and metrics: {}", tenant.label())
    }
}

fn shown(text: &str) -> String {
    printable(text, MAX_SHOWN_CHARS)
}

fn rights(read: bool, write: bool) -> &'static str {
    match (read, write) {
        (true, true) => "may read and write",
        (true, false) => "may read, but not write: read-only",
        (false, true) => "may write, but may not read",
        (false, false) => "may not read, and may not write",
    }
}

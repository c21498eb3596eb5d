//! What was granted when a job token was made, as a bound for all rules to come: they only take away.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::super::identity::{Namespace, Scope};
use super::super::scope::Granted;
use super::error::JobTokenError;

/// Bytes of a digest that stands for a namespace. It is sealed, so nobody chooses what it is compared with.
const MARK_BYTES: usize = 12;

/// The namespaces that were granted, as digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::auth) struct Bound {
    #[serde(rename = "r")]
    readable: Vec<String>,
    /// Only with the right to write.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    writable: Option<String>,
}

impl Bound {
    /// Exactly these rights.
    pub(in crate::auth) fn of(granted: &Granted) -> Self {
        Self {
            readable: granted.scope.readable().map(mark).collect(),
            writable: granted.may_write.then(|| mark(granted.scope.writable())),
        }
    }

    /// What is granted now, as far as it was granted then. What was granted to write is written only as long as the rules
    /// of now write to the same namespace.
    ///
    /// # Errors
    /// [`JobTokenError::NothingLeft`].
    pub(in crate::auth) fn limit(&self, granted: Granted) -> Result<Granted, JobTokenError> {
        let readable = granted.scope.readable();
        let readable = readable.filter(|namespace| self.readable.contains(&mark(namespace)));
        let readable = readable.cloned().collect();
        let written = mark(granted.scope.writable());
        let may_write = granted.may_write && self.writable.as_ref() == Some(&written);
        with_rights(granted, readable, may_write).ok_or(JobTokenError::NothingLeft)
    }
}

/// `granted` with these namespaces to read, and with or without the right to write. `None` if no right is left.
pub(super) fn with_rights(granted: Granted, readable: Vec<Namespace>, may_write: bool) -> Option<Granted> {
    let scope = match may_write {
        true => {
            let writable = granted.scope.writable().clone();
            let reads_it = readable.contains(&writable);
            Scope::with_first(writable, reads_it, readable)
        }
        // Who may not write is named after what it reads.
        false => Scope::new(readable)?,
    };
    Some(Granted {
        scope,
        may_write,
        ..granted
    })
}

fn mark(namespace: &Namespace) -> String {
    let digest = blake3::hash(namespace.path().as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_bytes()[..MARK_BYTES])
}

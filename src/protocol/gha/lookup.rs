//! Look-ups, which differ between the generations only in their messages.

use crate::auth::Identity;
use crate::cache::actions::{CacheKey, Error, FoundEntry, LookupQuery};
use crate::error::chain;
use crate::protocol::call::Call;
use crate::protocol::gha::GhaError;
use crate::telemetry::access::Outcome;

/// The toolkit sends ten at most; the others do not check.
const MAX_KEYS: usize = 64;

/// What a front-end answers to a list of keys that cannot be looked up.
pub(crate) struct LookupErrors {
    /// The list is empty.
    pub(crate) no_keys: &'static str,
    /// The list has more than 64 keys.
    pub(crate) too_many_keys: &'static str,
}

/// The keys of a look-up, the primary one first; empty ones are skipped.
///
/// # Errors
/// The list is empty or too long, or has a key that no entry can have.
pub(crate) fn cache_keys<'a>(
    keys: impl IntoIterator<Item = &'a str>,
    errors: &LookupErrors,
) -> Result<Vec<CacheKey>, GhaError> {
    let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
    match keys.len() {
        0 => Err(GhaError::invalid(errors.no_keys)),
        1..=MAX_KEYS => {
            let keys: Result<_, _> = keys.into_iter().map(CacheKey::new).collect();
            Ok(keys?)
        }
        _ => Err(GhaError::invalid(errors.too_many_keys)),
    }
}

/// The entry that a look-up finds. A cache must not break a build: a tier that fails is a miss with a note for
/// the operator.
///
/// # Errors
/// The caller may not read.
pub(crate) async fn find(
    call: &mut Call,
    caller: &Identity,
    query: &LookupQuery,
) -> Result<Option<FoundEntry>, GhaError> {
    let found = match call.app.actions().find(caller, query).await {
        Ok(found) => found,
        Err(Error::Store(error)) => {
            call.record.error = Some(chain(&error).into());
            None
        }
        Err(error) => return Err(error.into()),
    };
    match &found {
        Some(found) => {
            call.record.outcome = Outcome::Hit;
            call.record.namespace = Some(found.namespace.label().clone());
        }
        None => call.record.outcome = Outcome::Miss,
    }
    Ok(found)
}

//! Look-ups, which differ between the generations only in their messages.

use crate::auth::Identity;
use crate::cache::actions::{CacheKey, Error, FoundEntry, LookupQuery};
use crate::error::chain;
use crate::protocol::call::Call;
use crate::protocol::gha::GhaError;
use crate::telemetry::access::Outcome;

/// The toolkit sends ten at most; the others do not check.
const MAX_KEYS: usize = 64;

/// The keys of a look-up, the primary one first; empty ones are skipped. `none` and `too_many` are the faults of
/// a list without keys and of one with more than 64.
pub(crate) fn cache_keys<'a>(
    keys: impl IntoIterator<Item = &'a str>,
    none: &'static str,
    too_many: &'static str,
) -> Result<Vec<CacheKey>, GhaError> {
    let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
    match keys.len() {
        0 => Err(GhaError::invalid(none)),
        1..=MAX_KEYS => Ok(keys.into_iter().map(CacheKey::new).collect::<Result<_, _>>()?),
        _ => Err(GhaError::invalid(too_many)),
    }
}

/// The entry that a look-up finds. A cache must not break a build: a tier that fails is a miss with a note for
/// the operator.
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

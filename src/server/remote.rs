//! The remote tier of a configuration: which type it is, and whether it can be used.

use std::path::PathBuf;
use std::sync::Arc;

use super::StartError;
use crate::config::RemoteConfig;
use crate::store::RemoteErrorKind;
use crate::store::remote::RemoteTier;
use crate::store::s3::S3;
use crate::tasks::Tasks;

/// Opens the tier: one arm for each kind, and no other place knows their types. `notes` is a folder of this
/// process alone, for what a tier must find again after a crash.
///
/// # Errors
/// [`StartError::RemoteTier`].
pub(super) async fn open(
    config: RemoteConfig<'_>,
    notes: PathBuf,
    tasks: &Tasks,
) -> Result<Arc<dyn RemoteTier>, StartError> {
    Ok(match config {
        RemoteConfig::S3(config) => S3::open(config, Some(notes), tasks)
            .await
            .map_err(|error| StartError::RemoteTier(error.into()))?,
    })
}

/// Asks the tier once, so that a wrong configuration is told at the start.
///
/// # Errors
/// [`StartError::Remote`] for a reason that will not pass.
pub(super) async fn probe(remote: &dyn RemoteTier) -> Result<(), StartError> {
    let Err(error) = remote.probe().await else {
        return Ok(());
    };
    let kind = error.remote_error_kind().unwrap_or(RemoteErrorKind::Other);
    let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    if kind.may_pass() {
        // It may come back before the first client does.
        let name = remote.name().as_str();
        tracing::warn!("{name}: {kind} ({cause}); reads are misses until it can be used");
        return Ok(());
    }
    let key = remote.location_key();
    Err(StartError::Remote { key, kind, cause })
}

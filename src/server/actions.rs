//! The cache of GitHub Actions over the tiers: its catalog, its uploads, its key, and the other servers.

use std::path::PathBuf;
use std::sync::Arc;

use super::StartError;
use super::tiers::Tiers;
use crate::auth::SigningKey;
use crate::cache::actions::catalog::{Catalog, CatalogParts};
use crate::cache::actions::ledger::LedgerSite;
use crate::cache::actions::{Actions, ActionsParts, ActionsSettings, PeerNotifier};
use crate::cache::peers::{HeartbeatTiming, Peers, ServerId};
use crate::config::{Config, GhaConfig};
use crate::store::disk::Disk;
use crate::store::journal::Journal;
use crate::store::shared::SharedObjects;
use crate::tasks::Tasks;

/// Opens it. `tasks` end when the last request has.
pub(super) async fn open(
    config: &Config,
    tiers: &Tiers,
    notifier: Arc<dyn PeerNotifier>,
    tasks: &Tasks,
) -> Result<Actions, StartError> {
    let disk = &tiers.disk;
    let server = ThisServer::load(&config.gha, tiers, tasks).await?;
    let remote = tiers.remote.clone();
    let shared = remote.map(|remote| remote as Arc<dyn SharedObjects>);
    let catalog = CatalogParts {
        ledger: Some(LedgerSite::on(disk)),
        journal: shared.clone().map(Journal::new),
        // With a remote tier behind it, what the disk has lost is not gone.
        liveness: shared.is_none().then(|| Arc::clone(disk) as Arc<_>),
    };
    let peers = match (&shared, &config.gha.advertise_url) {
        (Some(shared), Some(url)) => {
            Peers::join(
                Arc::clone(shared),
                server.id,
                url.clone(),
                HeartbeatTiming::every(config.gha.heartbeat),
                tasks,
            )
            .await
        }
        _ => Peers::alone(server.id),
    };
    let parts = ActionsParts {
        store: Arc::clone(&tiers.store),
        blocks: disk.blocks().await.map_err(StartError::directory(disk.role()))?,
        catalog: Catalog::open(catalog, tasks),
        key: server.key.clone(),
        peers,
        notifier,
        settings: ActionsSettings {
            link_lifetime: config.gha.link_lifetime,
            upload_timeout: config.gha.upload_timeout,
            max_uploads: config.gha.max_uploads,
        },
    };
    let actions = Actions::open(parts, tasks).await;
    if let (Some(shared), None) = (shared, &config.gha.signing_key_file) {
        let tried = actions.share_key(shared, server.key);
        // Others are asked at once for what this server has signed.
        if config.gha.advertise_url.is_some() {
            tried.await;
        }
    }
    Ok(actions)
}

/// What tells this server from others, the same after a restart.
struct ThisServer {
    id: ServerId,
    key: SigningKey,
}

impl ThisServer {
    async fn load(config: &GhaConfig, tiers: &Tiers, tasks: &Tasks) -> Result<Self, StartError> {
        let (disk, file) = (Arc::clone(&tiers.disk), config.signing_key_file.clone());
        let loading = tasks.spawn_blocking(move || Self::read(&disk, file));
        let stopping = |_| crate::store::Error::Stopping;
        let loaded = loading.await.map_err(stopping);
        loaded.map_err(StartError::directory(tiers.disk.role()))?
    }

    /// Blocking.
    fn read(disk: &Disk, file: Option<PathBuf>) -> Result<Self, StartError> {
        let folder = disk.server_folder();
        let folder = folder.map_err(StartError::directory(disk.role()))?;
        let id = ServerId::load_or_create(&folder.join("id"));
        let key = match file {
            Some(file) => SigningKey::load(&file)?,
            None => {
                let kept = SigningKey::load_or_create(&folder.join("signing-key"));
                kept.map_err(StartError::directory(disk.role()))?
            }
        };
        let id = id.map_err(StartError::directory(disk.role()))?;
        Ok(Self { id, key })
    }
}

//! The cache of GitHub Actions over the tiers: its catalog, its uploads, its key, and the other servers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::StartError;
use super::memory::MemoryPlan;
use super::tiers::Tiers;
use crate::auth::{JobTokenKeys, JobTokens, MessageSealer, RevokedTokens, SigningKey};
use crate::cache::actions::catalog::{Catalog, CatalogParts, DiskAndRemote};
use crate::cache::actions::ledger::LedgerSite;
use crate::cache::actions::{Actions, ActionsParts, ActionsSettings};
use crate::cache::bucket_rules::BucketRulesParts;
use crate::cache::load::TenantLoads;
use crate::cache::notes::{ChangeTaker, ChangeTeller, NoteLog, NoteLogParts, NoteSink};
use crate::cache::peers::{
    BucketClock, HeartbeatTiming, Membership, PeerClient, Peers, ServerId, ServerNumber,
};
use crate::cache::revocations::{RevocationParts, Revocations};
use crate::cache::{AgreedKeyFile, KeyRing};
use crate::config::{Config, GhaConfig, LimitsConfig, RemoteConfig};
use crate::error::chain;
use crate::store::disk::Disk;
use crate::store::journal::Journal;
use crate::store::shared::SharedObjects;
use crate::tasks::Tasks;

/// A start waits this long for the bucket's time.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens it. `tasks` end when the last request has.
pub(super) async fn open(
    config: &Config,
    tiers: &Tiers,
    (client, loads, server): (Arc<dyn PeerClient>, TenantLoads, ThisServer),
    tasks: &Tasks,
) -> Result<Actions, StartError> {
    let disk = &tiers.disk;
    let remote = tiers.remote.clone();
    let shared = remote.map(|remote| remote as Arc<dyn SharedObjects>);
    let rules = tiers.bucket_rules.as_ref();
    let clock = rules.map_or_else(Arc::<BucketClock>::default, |rules| Arc::clone(rules.clock()));
    let keys = keys(config, &server, shared.as_ref(), tasks).await;
    let place = shared.as_ref().zip(config.gha.advertise_url.as_ref());
    let membership = place.map(|(shared, url)| Membership {
        shared: Arc::clone(shared),
        number: server.number.clone(),
        url: url.clone(),
        keys: keys.clone(),
        clock: Arc::clone(&clock),
        client,
    });
    let peers = match membership {
        Some(membership) => join(membership, config.gha.heartbeat, (&server, disk), tasks).await?,
        None => Peers::alone(server.number.id),
    };
    learn_time(shared.as_deref(), &clock, peers.me()).await;
    start_rules(tiers, &peers, &server, tasks);
    let note_log = |objects| NoteLogParts {
        objects,
        keys: keys.clone(),
        peers: peers.clone(),
        clock: Arc::clone(&clock),
    };
    let notes = shared
        .clone()
        .map(|objects| NoteLog::new(note_log(objects), tasks));
    let catalog = catalog_parts(&config.limits, tiers, shared, notes.clone());
    let catalog = Catalog::open(catalog, tasks);
    if let Some(notes) = &notes {
        follow(notes, &catalog, tiers, (&server, clock.now())).await;
    }
    let parts = ActionsParts {
        store: Arc::clone(&tiers.store),
        blocks: disk
            .blocks_of(Actions::tenant_of)
            .await
            .map_err(StartError::directory(disk.role()))?,
        catalog,
        keys,
        peers,
        notes,
        tiered: tiers.tiered.clone(),
        loads,
        settings: settings(&config.gha),
    };
    Ok(Actions::open(parts, tasks).await)
}

fn settings(config: &GhaConfig) -> ActionsSettings {
    ActionsSettings {
        link_lifetime: config.link_lifetime,
        upload_timeout: config.upload_timeout,
        upload_age: config.upload_age,
        max_uploads: config.max_uploads,
    }
}

/// Takes part among the servers of a bucket.
async fn join(
    membership: Membership,
    heartbeat: Duration,
    (server, disk): (&ThisServer, &Arc<Disk>),
    tasks: &Tasks,
) -> Result<Peers, StartError> {
    let peers = Peers::join(membership, HeartbeatTiming::every(heartbeat), tasks).await;
    server.keep_id(peers.me(), disk, tasks).await?;
    Ok(peers)
}

/// Lets the rules of tenants hold in the bucket, if there are any for it.
fn start_rules(tiers: &Tiers, peers: &Peers, server: &ThisServer, tasks: &Tasks) {
    if let (Some(rules), Some(remote)) = (&tiers.bucket_rules, &tiers.remote) {
        let parts = BucketRulesParts {
            remote: Arc::clone(remote),
            peers: peers.clone(),
            mark: server.uses_mark.clone(),
        };
        rules.start(parts, tasks);
    }
}

/// Asks the bucket for its time. Heartbeats have asked already, if there are any. Without an answer, the clock of this
/// machine counts.
async fn learn_time(shared: Option<&dyn SharedObjects>, clock: &BucketClock, me: ServerId) {
    if let Some(shared) = shared {
        let _unknown = tokio::time::timeout(CLOCK_TIMEOUT, clock.learn(shared, me)).await;
    }
}

/// Where the catalog keeps what it knows, and whom it asks whether that is still there.
fn catalog_parts(
    limits: &LimitsConfig,
    tiers: &Tiers,
    shared: Option<Arc<dyn SharedObjects>>,
    notes: Option<NoteLog>,
) -> CatalogParts {
    let disk = &tiers.disk;
    CatalogParts {
        ledger: Some(LedgerSite::on(disk)),
        journal: shared.map(Journal::new),
        notes,
        index_memory: Some(MemoryPlan::index(limits)),
        liveness: Some(match tiers.remote.clone() {
            // With a remote tier behind it, what the disk has lost is not gone.
            Some(remote) => Arc::new(DiskAndRemote {
                disk: Arc::clone(disk),
                remote,
            }),
            None => Arc::clone(disk) as Arc<_>,
        }),
    }
}

/// Lets catalog and tiers hear what other servers change, and these what is changed here.
async fn follow(notes: &NoteLog, catalog: &Catalog, tiers: &Tiers, (server, now): (&ThisServer, SystemTime)) {
    let mut sinks: Vec<Arc<dyn NoteSink>> = vec![Arc::new(catalog.clone())];
    let Some(tiered) = tiers.tiered.as_ref().filter(|_| notes.has_peers()) else {
        return notes.follow(sinks, now);
    };
    sinks.push(Arc::new(ChangeTaker::new(tiered.clone(), notes.peers().clone())));
    let oldest = now
        .checked_sub(NoteLog::RETENTION)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let since = server.notes_read.filter(|read| *read > oldest);
    if since.is_none()
        && let Err(error) = tiered.doubt_copies().await
    {
        tracing::warn!(cause = chain(&error), "copies on the disk cannot be put in doubt");
    }
    notes.follow(sinks, since.unwrap_or(now));
    tiered.observe(Arc::new(ChangeTeller::new(notes.clone())));
    notes.keep_read(server.notes_file.clone());
}

/// The keys of tickets and messages. Without a file, all servers of a bucket agree on one.
async fn keys(
    config: &Config,
    server: &ThisServer,
    shared: Option<&Arc<dyn SharedObjects>>,
    tasks: &Tasks,
) -> KeyRing {
    let keys = KeyRing::with_former(&server.key, server.former_key.as_ref());
    if let (Some(shared), Some((agreed, file))) = (shared, server.agreed.clone()) {
        let tried = keys.share(Arc::clone(shared), (server.key.clone(), agreed, file), tasks);
        // Others are asked at once for what this server has signed.
        if config.gha.advertise_url.is_some() {
            tried.await;
        }
    }
    keys
}

/// What tells this server from others, the same after a restart.
pub(super) struct ThisServer {
    number: ServerNumber,
    /// The file that keeps it.
    id_file: PathBuf,
    /// Until when the notes of other servers were read, and the file that says so.
    notes_read: Option<SystemTime>,
    notes_file: PathBuf,
    /// It is there while uses wait for the bucket.
    uses_mark: PathBuf,
    /// The file of revoked job tokens.
    revoked_file: PathBuf,
    key: SigningKey,
    /// What opens and does not seal.
    former_key: Option<SigningKey>,
    /// What seals job tokens: nothing that a bucket holds or ever held, as who reads that could make tokens.
    job_key: Option<SigningKey>,
    /// What the servers of the bucket have agreed on, if anything, and the file that keeps it. None if the key comes from
    /// a file, or there is no bucket.
    agreed: Option<(Option<SigningKey>, AgreedKeyFile)>,
}

/// The files of keys that the configuration names, each with the key that does.
struct KeyFiles {
    signing: Option<(&'static str, PathBuf)>,
    former: Option<(&'static str, PathBuf)>,
}

impl KeyFiles {
    fn of(config: &Config) -> Self {
        let former = config.signing_key_file_former.clone();
        Self {
            signing: config.signing_key().map(|(key, file)| (key, file.clone())),
            former: former.map(|file| ("signing_key_file_former", file)),
        }
    }

    /// Blocking.
    fn load(named: Option<(&'static str, PathBuf)>) -> Result<Option<SigningKey>, StartError> {
        let load = |(key, file): (&'static str, PathBuf)| {
            SigningKey::load(&file).map_err(|cause| StartError::SigningKey { key, cause })
        };
        named.map(load).transpose()
    }
}

impl ThisServer {
    pub(super) async fn load(config: &Config, tiers: &Tiers, tasks: &Tasks) -> Result<Self, StartError> {
        let (disk, files) = (Arc::clone(&tiers.disk), KeyFiles::of(config));
        let bucket = config.remote().map(RemoteConfig::place);
        let loading = tasks.spawn_blocking(move || Self::read(&disk, files, bucket));
        let stopping = |_| crate::store::Error::Stopping;
        let loaded = loading.await.map_err(stopping);
        loaded.map_err(StartError::directory(tiers.disk.role()))?
    }

    /// Blocking.
    fn read(disk: &Disk, files: KeyFiles, bucket: Option<String>) -> Result<Self, StartError> {
        let folder = disk.server_folder();
        let folder = folder.map_err(StartError::directory(disk.role()))?;
        let id_file = folder.join("id");
        let unusable = |name: &str, loss: &'static str| {
            let (key, path) = (disk.role().dir_key(), folder.join(name));
            move |cause: Box<dyn std::error::Error + Send + Sync>| StartError::ServerFile {
                key,
                path,
                cause,
                loss,
            }
        };
        let id = ServerId::load_or_create(&id_file);
        let no_id = unusable("id", "uploads of the Actions cache that are running end");
        let id = id.map_err(|error| no_id(error.into()))?;
        // Of the same kind: a secret that is made once.
        let owner = SigningKey::load_or_create(&folder.join("claim"));
        let no_owner = unusable("claim", "this server takes another number");
        let owner = owner.map_err(|error| no_owner(error.into()))?;
        let (named, former_key) = (KeyFiles::load(files.signing)?, KeyFiles::load(files.former)?);
        let made_once = |name: &str, loss: &'static str| {
            let no_key = unusable(name, loss);
            let kept = SigningKey::load_or_create(&folder.join(name));
            kept.map_err(|error| no_key(error.into()))
        };
        let job_key = match (&named, &bucket) {
            (Some(key), _) => Some(key.clone()),
            (None, None) => Some(made_once(
                "job-key",
                "job tokens that were given out are refused",
            )?),
            (None, Some(_)) => None,
        };
        let agreed = bucket.filter(|_| named.is_none()).map(|place| {
            let file = AgreedKeyFile::new(folder.join("agreed-key"), &place);
            (file.load(), file)
        });
        let key = match named {
            Some(key) => key,
            None => made_once("signing-key", "links that were given out are refused")?,
        };
        let number = ServerNumber {
            id,
            owner: Bytes::copy_from_slice(&owner.as_bytes()[..16]),
        };
        let notes_file = folder.join("notes-read");
        Ok(Self {
            number,
            id_file,
            notes_read: NoteLog::load_read(&notes_file),
            notes_file,
            uses_mark: folder.join("uses"),
            revoked_file: folder.join("revoked"),
            key,
            former_key,
            job_key,
            agreed,
        })
    }

    /// What makes, opens and revokes job tokens here.
    pub(super) async fn job_tokens(&self, config: &Config, tiers: &Tiers) -> JobTokens {
        let Some(key) = &self.job_key else {
            return JobTokens::new(None, config.job_tokens);
        };
        let former = self.former_key.as_ref();
        let (keys, revoked) = (JobTokenKeys::new(key, former), RevokedTokens::default());
        let objects = tiers.remote.clone();
        let parts = RevocationParts {
            file: self.revoked_file.clone(),
            disk: Arc::clone(&tiers.disk),
            objects: objects.map(|objects| objects as Arc<dyn SharedObjects>),
            sealers: [Some(key), former]
                .into_iter()
                .flatten()
                .map(MessageSealer::new)
                .collect(),
            revoked: revoked.clone(),
            interval: config.gha.heartbeat / 2,
        };
        let keeper = Revocations::open(parts, &tiers.shared).await;
        JobTokens::new(Some(keys), config.job_tokens).revoking(revoked, Arc::new(keeper))
    }

    /// Keeps the number, if it is another one than before.
    async fn keep_id(&self, id: ServerId, disk: &Arc<Disk>, tasks: &Tasks) -> Result<(), StartError> {
        if id == self.number.id {
            return Ok(());
        }
        let file = self.id_file.clone();
        let saved = tasks.spawn_blocking(move || id.save(&file)).await;
        let saved = saved.map_err(std::io::Error::other).and_then(|saved| saved);
        saved.map_err(StartError::directory(disk.role()))
    }
}

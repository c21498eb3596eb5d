//! What one round runs on: an issuer, a bucket, servers with their directories.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::json;

use crate::crowd::Crowd;
use crate::etags::Etags;
use crate::history::{History, WITNESS};
use crate::plan::{Mode, Plan, Tiers};
use crate::process::Server;
use crate::report::Report;
use crate::rng::Rng;
use crate::support::issuer::Issuer;
use crate::support::s3::S3Server;
use crate::support::token::AUDIENCE;

/// Tenants that write; they use the same keys.
pub(crate) const TENANTS: usize = 3;
/// Bodies of up to 20 MB fit twice.
pub(crate) const DISK_LIMIT: u64 = 48 << 20;
/// `s3.queue_limit` with `write: back`; half of the disk's is the default.
const QUEUE_LIMIT: u64 = 16 << 20;
pub(crate) const MAX_BODY_BYTES: u64 = 20_000_000;
/// `disk.open_files`: with it the descriptors of a process have a bound.
pub(crate) const OPEN_FILES: usize = 64;

pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) history: History,
    pub(crate) report: Report,
    pub(crate) issuer: Issuer,
    pub(crate) bucket: Option<Arc<S3Server>>,
    pub(crate) servers: Vec<Arc<Server>>,
    /// Of the tenants that write registers, of the quiet one, of the crowd.
    pub(crate) tokens: Vec<String>,
    pub(crate) etags: Etags,
    witness: OnceLock<SocketAddr>,
    pub(crate) durable: bool,
    /// Whether clients use few keys and small bodies: more happens to each key.
    pub(crate) narrow: bool,
    /// When a power loss was played for the last time.
    pub(crate) power_loss: Mutex<u64>,
    losses: AtomicU64,
    binary: PathBuf,
    dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(plan: &Plan, mode: Mode, rng: &mut Rng, report: Report) -> Self {
        let issuer = Issuer::start().await;
        let registers = (0..TENANTS)
            .map(|tenant| json!({"repository": format!("tenant-{tenant}/app"), "ref": "refs/heads/main"}));
        let crowd = mode.crowd.into_iter().flat_map(Crowd::claims);
        let tokens = registers.chain(crowd).map(|claims| issuer.token(claims));
        let mut this = Self {
            mode,
            history: History::new(),
            report,
            tokens: tokens.collect(),
            etags: Etags::default(),
            witness: OnceLock::new(),
            issuer,
            bucket: mode.has_bucket().then(|| Arc::new(S3Server::memory())),
            servers: Vec::new(),
            durable: rng.chance(25),
            narrow: rng.chance(40),
            power_loss: Mutex::default(),
            losses: AtomicU64::default(),
            binary: plan.binary.clone(),
            dir: tempfile::tempdir().unwrap(),
        };
        if let Some(bucket) = &this.bucket {
            bucket.config(S3Server::BUCKET);
        }
        for index in 0..mode.servers {
            let server = this.server(index);
            this.servers.push(Arc::new(server));
        }
        this
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// How often power was lost. Each may have taken whatever was written before.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    pub(crate) fn lose_power(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    /// Another server with an empty directory over the same bucket.
    pub(crate) fn witness(&self) -> Server {
        let server = self.server(WITNESS);
        self.witness.set(server.address).expect("one witness in a round");
        server
    }

    /// Bytes that may wait for their upload.
    pub(crate) fn queue_limit(&self) -> u64 {
        if self.mode.tiers == Tiers::Back {
            QUEUE_LIMIT
        } else {
            DISK_LIMIT / 2
        }
    }

    pub(crate) fn address(&self, server: usize) -> SocketAddr {
        let witness = || *self.witness.get().expect("a witness that was started");
        self.servers
            .get(server)
            .map_or_else(witness, |server| server.address)
    }

    fn server(&self, index: usize) -> Server {
        let home = self.path().join(format!("server-{index}"));
        std::fs::create_dir_all(&home).unwrap();
        let (address, ops) = (free(), free());
        std::fs::write(home.join("config.yaml"), self.config(address, ops)).unwrap();
        Server::new(index, address, ops, home, self.binary.clone())
    }

    fn config(&self, address: SocketAddr, ops: SocketAddr) -> String {
        let mut text = format!(
            "listen: {address}\nops_listen: {ops}\noidc_providers:\n  - url: {}\n    audiences: ['{AUDIENCE}']\n    \
             cache_key_exprs: ['join(\"repo\", claims.repository, claims.ref)']\nlimits: {{drain_timeout: 5s}}\n",
            self.issuer.url()
        );
        let durability = if self.durable { "fsync" } else { "relaxed" };
        if self.mode.tiers != Tiers::Bucket {
            text += &format!(
                "disk:\n  dir: cache\n  limit: {DISK_LIMIT}\n  durability: {durability}\n  memory: 4MiB\n  \
                 open_files: {OPEN_FILES}\n"
            );
            if self.mode.servers > 1 {
                text += "  revalidate_after: 1s\n";
            }
        }
        let Some(bucket) = &self.bucket else {
            return text + "gha: {upload_timeout: 1m}\n";
        };
        let write = if self.mode.tiers == Tiers::Back {
            "back"
        } else {
            "through"
        };
        text += &format!(
            "s3:\n  bucket: {}\n  region: us-east-1\n  endpoint_url: {}\n  write: {write}\n  part_size: 5MiB\n",
            S3Server::BUCKET,
            bucket.url()
        );
        let keys = bucket
            .config(S3Server::BUCKET)
            .credentials
            .expect("files with keys");
        text += &format!(
            "  access_key_id_file: {}\n  secret_access_key_file: {}\n",
            keys.access_key_id.display(),
            keys.secret_access_key.display()
        );
        if self.mode.tiers == Tiers::Back {
            text += &format!("  queue_limit: {QUEUE_LIMIT}\n");
        }
        if self.mode.tiers == Tiers::Bucket {
            text += &format!("  staging_dir: cache\n  staging_limit: {DISK_LIMIT}\n");
        }
        text += &format!("gha:\n  upload_timeout: 1m\n  advertise_url: http://{address}\n");
        text
    }
}

/// An address where nobody listens now; it stays the same over all starts of a server.
fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

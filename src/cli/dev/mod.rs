//! `chacha dev`: the whole job on one machine, with nothing else installed or running.
//!
//! A server on loopback, a built-in OIDC issuer with real signatures, and tokens of two tenants with
//! lines to copy for each client.

mod guide;
mod issuer;

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Args;

use super::run::{Signal, Signals};
use crate::auth::Expressions;
use crate::config::{self, ListenAddr};
use crate::server::Server;
use crate::tasks::Tasks;
use crate::telemetry::access::AccessLog;
use issuer::{Issuer, Tenant};

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Keep cache, tokens and configuration here; default: a temporary directory, removed at the end
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Loopback address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// The two tenants: enough to see that one hits what it stored, and that the other one misses.
const TENANTS: &[Tenant] = &[
    Tenant {
        name: "acme",
        repository: "acme/app",
        repository_id: "4242",
    },
    Tenant {
        name: "globex",
        repository: "globex/site",
        repository_id: "7070",
    },
];

pub(super) fn execute(args: DevArgs, log: AccessLog) -> anyhow::Result<ExitCode> {
    if !args.listen.ip().is_loopback() {
        bail!(
            "--listen {}: dev hands out tokens to everybody, so it serves on loopback only",
            args.listen
        );
    }
    super::block_on(serve(args, log))?
}

async fn serve(args: DevArgs, log: AccessLog) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let dir = Workspace::open(args.dir)?;
    let tasks = Tasks::new();
    let issuer = Issuer::start(&tasks).await?;
    let text = guide::configuration(args.listen, issuer.url(), &dir.path);
    let loaded = config::parse("dev", &text, &Expressions).context("the configuration of dev")?;
    let server = Server::start(loaded.config, log).await?;
    let Some(ListenAddr::Tcp(address)) = server.addresses().first().cloned() else {
        bail!("--listen: not a TCP address");
    };
    let tokens = keep(&dir, &text, &issuer)?;
    let (ops, url) = (server.ops_address(), issuer.url());
    super::say(&guide::text(address, ops, url, &dir.path, &tokens));
    // There is no file to reload here: any signal is the end but SIGHUP, which means nothing.
    while let Signal::Reload = signals.next().await {}
    server.stop().await;
    tasks.finish().await;
    Ok(ExitCode::SUCCESS)
}

/// Writes tokens and configuration beside the cache, for scripts; readable by the owner only.
fn keep(dir: &Workspace, text: &str, issuer: &Issuer) -> anyhow::Result<Vec<(&'static str, String)>> {
    write_private(&dir.path.join("config.yaml"), text)?;
    let mut tokens = Vec::new();
    for tenant in TENANTS {
        let token = issuer.token(tenant)?;
        write_private(&dir.path.join(format!("{}.jwt", tenant.name)), &token)?;
        tokens.push((tenant.name, token));
    }
    Ok(tokens)
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let open = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("--dir: cannot write {}", path.display()))
}

/// The directory of one `dev` run.
struct Workspace {
    path: PathBuf,
    temporary: bool,
}

impl Workspace {
    fn open(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let temporary = given.is_none();
        let path = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            std::env::temp_dir().join(format!("chacha-dev-{}-{:x}", std::process::id(), now.as_nanos()))
        });
        // Tokens will lie there: private, and never in a directory that another user has prepared.
        let made = DirBuilder::new().mode(0o700).recursive(!temporary).create(&path);
        made.with_context(|| format!("--dir {}: cannot make it", path.display()))?;
        let path = std::path::absolute(path)?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.temporary {
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}

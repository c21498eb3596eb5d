//! The real server in this process, on ports of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chacha::config::{
    Config, DiskConfig, GhaConfig, JobTokensConfig, LimitsConfig, ListenAddr, ProviderConfig, TrustedProxies,
};
use chacha::server::Server;
use chacha::telemetry::access::AccessLog;
use chacha::telemetry::log::{Format, LogGuard};
use serde_json::{Value, json};

use super::client::Client;
use super::issuer::Issuer;

/// A server, its issuer and its directory; all gone when it is dropped.
pub(crate) struct TestServer {
    server: Option<Server>,
    config: Config,
    pub(crate) issuer: Issuer,
    dir: tempfile::TempDir,
    access: AccessLog,
    lines: Arc<Mutex<Vec<u8>>>,
    guard: Option<LogGuard>,
}

/// The end of the log, in memory.
struct Memory(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// 64 MiB: far above what a test stores unless it wants to be evicted.
const LIMIT: u64 = 64 << 20;

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with a changed configuration.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let issuer = Issuer::start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut provider = issuer.provider();
        provider.cache_key_exprs = vec![
            "join(\"repo\", claims.repository, claims.ref)".into(),
            "join(\"repo\", claims.repository, \"refs/heads/main\")".into(),
        ];
        provider.write_if =
            Some("default(\"claims.event_name\", \"push\") != \"pull_request_target\"".into());
        let mut config = config(provider, dir.path());
        change(&mut config);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (access, guard) = AccessLog::to(Memory(lines.clone()), Format::Json).unwrap();
        let mut this = Self {
            server: None,
            config,
            issuer,
            dir,
            access,
            lines,
            guard: Some(guard),
        };
        this.open().await;
        this
    }

    async fn open(&mut self) {
        let server = Server::start(self.config.clone(), self.access.clone())
            .await
            .unwrap();
        server.indexed().await;
        self.server = Some(server);
    }

    /// Stops the server cleanly and starts it again on the same directory.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.open().await;
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Stops the server; the lines of all its requests in the order in which these began.
    pub(crate) async fn log(&mut self) -> Vec<Value> {
        let text = self.log_text().await;
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut lines: Vec<Value> = text.lines().map(parse).collect();
        lines.sort_by_key(|line| line["id"].as_str().unwrap().to_owned());
        lines
    }

    /// Stops the server; its log as it was written.
    pub(crate) async fn log_text(&mut self) -> String {
        self.stop().await;
        // Ends the thread that writes.
        self.guard = None;
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }

    /// Stops the server, removes its disk, and starts it again.
    pub(crate) async fn wipe(&mut self) {
        self.stop().await;
        std::fs::remove_dir_all(self.dir().join("cache")).unwrap();
        self.open().await;
    }

    /// Starts the server again with another configuration on the same directory.
    pub(crate) async fn reconfigure(&mut self, config: Config) {
        self.config = config;
        self.restart().await;
    }

    /// Has the running server take over another configuration.
    pub(crate) async fn reload(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        let server = self.server.as_mut().unwrap();
        assert_eq!(server.reload(self.config.clone()).await.unwrap(), [""; 0]);
    }

    /// Starts the server again with the issuer of another one as a second provider.
    pub(crate) async fn trust(&mut self, other: &Issuer) {
        let mut provider = other.provider();
        provider.cache_key_exprs = self.config.providers[0].cache_key_exprs.clone();
        self.config.providers.push(provider);
        self.restart().await;
    }

    /// A token of a job of `repository` on the default branch.
    pub(crate) fn token(&self, repository: &str) -> String {
        self.issuer
            .token(json!({"repository": repository, "ref": "refs/heads/main"}))
    }

    /// The running server, to be stopped by the test itself.
    pub(crate) fn take(&mut self) -> Server {
        self.server.take().unwrap()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        tcp(&self.server().addresses()[0])
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A client without credentials.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(self.address())
    }

    /// A client without credentials for health and metrics.
    pub(crate) fn ops(&self) -> Client {
        Client::new(tcp(self.server().ops_address().unwrap()))
    }

    /// A job of `repository` on the default branch.
    pub(crate) fn tenant(&self, repository: &str) -> Client {
        self.job(repository, "refs/heads/main")
    }

    /// A job of `repository` on `reference`.
    pub(crate) fn job(&self, repository: &str, reference: &str) -> Client {
        let token = self
            .issuer
            .token(json!({"repository": repository, "ref": reference}));
        self.anonymous().with_token(&token)
    }

    /// The tenant of most tests.
    pub(crate) fn acme(&self) -> Client {
        self.tenant("acme/app")
    }
}

fn config(provider: ProviderConfig, dir: &Path) -> Config {
    let free = ListenAddr::Tcp(([127, 0, 0, 1], 0).into());
    Config {
        listen: vec![free.clone()],
        ops_listen: Some(free),
        base_url: None,
        outbound_proxy_file: None,
        trusted_proxies: TrustedProxies::default(),
        signing_key_file: None,
        signing_key_file_former: None,
        job_tokens: Some(JobTokensConfig::default()),
        providers: vec![provider],
        disk: Some(DiskConfig::new(dir.join("cache"), LIMIT)),
        s3: None,
        limits: LimitsConfig::default(),
        tenants: Vec::new(),
        gha: GhaConfig::default(),
    }
}

fn tcp(address: &ListenAddr) -> SocketAddr {
    match address {
        ListenAddr::Tcp(address) => *address,
        ListenAddr::Unix(path) => panic!("{path:?} is not a TCP address"),
    }
}

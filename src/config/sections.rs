//! One struct per section of the file, with the meaning and the default of every key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::defaults;

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `listen`: where clients connect. Default `127.0.0.1:8080`.
    pub listen: Vec<ListenAddr>,
    /// `ops_listen`: health, readiness and metrics. Default `127.0.0.1:9080`; `off` for none.
    pub ops_listen: Option<ListenAddr>,
    /// `base_url`: the URL under which clients reach this server; needed for links in answers. A path has
    /// no slash at its end. `http` only for loopback hosts, or with `allow_insecure_http: true` beside it.
    /// Default: derived from the first listener.
    pub base_url: Option<Url>,
    /// `oidc_providers`: the issuers whose tokens are accepted. At least one.
    pub providers: Vec<ProviderConfig>,
    /// `disk`: the local tier.
    pub disk: Option<DiskConfig>,
    /// `s3`: the shared tier.
    pub s3: Option<S3Config>,
    /// `limits`: what one client or one request may take.
    pub limits: LimitsConfig,
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddr {
    /// `host:port`, IPv4 or `[IPv6]`.
    Tcp(SocketAddr),
    /// `unix:/path/of/the/socket`.
    Unix(PathBuf),
}

/// One entry of `oidc_providers`.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// `url`: the issuer, byte for byte as in the `iss` claim. A slash at the end is refused unless
    /// `allow_trailing_slash: true` stands beside it.
    pub url: String,
    /// `audiences`: accepted values of `aud`. Empty accepts any audience, with a warning.
    pub audiences: Vec<String>,
    /// `algorithms`: accepted signature algorithms. Default RS256 and ES256.
    pub algorithms: Vec<Algorithm>,
    /// `cache_key_exprs`: expressions that give the namespaces; the first is written to. One to 16.
    pub cache_key_exprs: Vec<String>,
    /// `allow_if`: boolean expression; `false` refuses the token with 403. Default: all are allowed.
    pub allow_if: Option<String>,
    /// `write_if`: boolean expression; `false` makes the token read-only. Default: all may write.
    pub write_if: Option<String>,
    /// `leeway`: accepted clock difference for `exp`, `nbf` and `iat`. Default 30 s, at most 5 min.
    pub leeway: Duration,
    /// `max_age`: longest accepted time since `iat`, 1 s to 168 h. Default: not checked.
    pub max_age: Option<Duration>,
    /// `jwks_file`: a key set on disk instead of discovery, for issuers that cannot be reached.
    pub jwks_file: Option<PathBuf>,
    /// `allow_insecure_http`: accept an `http://` issuer that is not on a loopback address.
    pub allow_insecure_http: bool,
}

/// A signature algorithm of RFC 7518 (and RFC 8037) that a provider may use. Symmetric ones and
/// `none` cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are those of the standards")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    #[serde(rename = "EdDSA")]
    EdDSA,
}

/// The `disk` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// `dir`: the directory of the tier. Made if it does not exist.
    pub dir: PathBuf,
    /// `limit`: upper bound of everything below `dir`, in bytes as `du` counts them. 1 MiB to 8 EiB.
    pub limit: u64,
    /// `durability`: whether an entry is synced before it is answered. Default relaxed.
    pub durability: Durability,
    /// `memory`: upper bound of bodies kept in memory, in bytes. At least 1. Default 32 MiB.
    pub memory: u64,
    /// `open_files`: upper bound of entries kept open, 1 to 1048576. Default: a quarter of the process'
    /// limit, at most 4096.
    pub open_files: Option<usize>,
}

/// When an entry counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When the kernel has it. A power loss may tear it; its checksum finds that, and it is a miss.
    #[default]
    Relaxed,
    /// When file and directory are synced.
    Fsync,
}

/// The `s3` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// `bucket`: the bucket's name. Read, but not used by this version.
    pub bucket: String,
}

/// The `limits` section.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// `max_entry_size`: largest accepted body, in bytes. At least 1. Default: what the tiers can hold.
    pub max_entry_size: Option<u64>,
    /// `max_connections`: connections served at once; further ones wait. 1 to 1048576. Default 16384.
    pub max_connections: usize,
    /// `body_idle_timeout`: longest pause inside of a request body, 1 s to 1 h. Default 60 s.
    pub body_idle_timeout: Duration,
    /// `keep_alive`: how long an idle connection stays open, 1 s to 1 h. Default 120 s; ccache and Bazel
    /// need more than 75 s.
    pub keep_alive: Duration,
    /// `drain_timeout`: how long running requests may take after SIGTERM, 0 s to 1 h. Default 30 s.
    pub drain_timeout: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_entry_size: None,
            max_connections: defaults::MAX_CONNECTIONS,
            body_idle_timeout: defaults::BODY_IDLE_TIMEOUT,
            keep_alive: defaults::KEEP_ALIVE,
            drain_timeout: defaults::DRAIN_TIMEOUT,
        }
    }
}

impl ProviderConfig {
    /// A provider that accepts every token of the issuer `url` for any audience; all else is default.
    /// Nothing is checked here.
    pub fn new(url: impl Into<String>, cache_key_exprs: Vec<String>) -> Self {
        Self {
            url: url.into(),
            audiences: Vec::new(),
            algorithms: defaults::ALGORITHMS.to_vec(),
            cache_key_exprs,
            allow_if: None,
            write_if: None,
            leeway: defaults::LEEWAY,
            max_age: None,
            jwks_file: None,
            allow_insecure_http: false,
        }
    }
}

impl DiskConfig {
    /// A tier in `dir` of at most `limit` bytes; all else is default. Nothing is checked here.
    pub fn new(dir: impl Into<PathBuf>, limit: u64) -> Self {
        Self {
            dir: dir.into(),
            limit,
            durability: Durability::default(),
            memory: defaults::MEMORY,
            open_files: None,
        }
    }
}

//! One struct per section of the file, with the meaning and the default of every key.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::words::{
    Algorithm, Durability, RedirectMode, S3Checksums, ServerSideEncryption, TokenScopes, WhenDown, WriteMode,
};
use super::{ListenAddr, TenantRule, TrustedProxies, defaults};

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `listen`: where clients connect. Default `127.0.0.1:8080`.
    pub listen: Vec<ListenAddr>,
    /// `ops_listen`: health, readiness and metrics. Default `127.0.0.1:9080`; `off` for none.
    pub ops_listen: Option<ListenAddr>,
    /// `base_url`: the URL under which clients reach this server; needed for links in answers. A path has
    /// no slash at its end. `http` only for loopback hosts, or with `allow_insecure_http: true` beside it.
    /// Default: derived from the first listener.
    pub base_url: Option<Url>,
    /// `outbound_proxy_file`: a file with the URL of the proxy, and its credentials, through which issuers and S3 are
    /// reached. Default: what the environment says.
    pub outbound_proxy_file: Option<PathBuf>,
    /// `trusted_proxies`: the networks of proxies whose word on the address of a client counts, by `Forwarded`,
    /// `X-Forwarded-For` or the PROXY protocol; `unix` for sockets of the file system. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// `signing_key_file`: the secret that seals links and job tokens, equal on all servers with one bucket. Default: made
    /// once and kept in the disk directory, or for links in the bucket.
    pub signing_key_file: Option<PathBuf>,
    /// `signing_key_file_former`: the secret that was there before. It opens what it has sealed, and seals nothing.
    pub signing_key_file_former: Option<PathBuf>,
    /// `job_tokens`: how long job tokens live; `None` if it is `off`.
    pub job_tokens: Option<JobTokensConfig>,
    /// `oidc_providers`: the issuers whose tokens are accepted. At least one.
    pub providers: Vec<ProviderConfig>,
    /// `disk`: the local tier.
    pub disk: Option<DiskConfig>,
    /// `s3`: the shared tier.
    pub s3: Option<S3Config>,
    /// `limits`: what one client or one request may take.
    pub limits: LimitsConfig,
    /// `tenants`: bounds and guarantees for tenants, in the order in which they apply. Default: none.
    pub tenants: Vec<TenantRule>,
    /// `gha`: the cache of GitHub Actions.
    pub gha: GhaConfig,
}

/// The `job_tokens` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobTokensConfig {
    /// `default_ttl`: the life of a token whose job asks for none, 1 min to 24 h, at most `max_ttl`. Default 1 h.
    pub default_ttl: Duration,
    /// `max_ttl`: the longest life, 1 min to 24 h. Default 6 h.
    pub max_ttl: Duration,
}

impl Default for JobTokensConfig {
    fn default() -> Self {
        Self {
            default_ttl: defaults::JOB_TOKEN_TTL,
            max_ttl: defaults::JOB_TOKEN_MAX_TTL,
        }
    }
}

/// One entry of `oidc_providers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// `url`: the issuer, byte for byte as in the `iss` claim. A slash at the end is refused unless
    /// `allow_trailing_slash: true` stands beside it.
    pub url: String,
    /// `audiences`: accepted values of `aud`. Empty accepts any audience, with a warning.
    pub audiences: Vec<String>,
    /// `algorithms`: accepted signature algorithms. Default RS256 and ES256.
    pub algorithms: Vec<Algorithm>,
    /// `cache_key_exprs`: expressions that give the namespaces; the first is written to. One to 16; none only
    /// with `scopes`.
    pub cache_key_exprs: Vec<String>,
    /// `scopes`: the claim that gives the namespaces of the tokens that have it, in place of
    /// `cache_key_exprs`. Default: none.
    pub scopes: Option<TokenScopes>,
    /// `allow_if`: boolean expression; `false` refuses the token with 403. Default: all are allowed.
    pub allow_if: Option<String>,
    /// `write_if`: boolean expression; `false` makes the token read-only. Default: all may write.
    pub write_if: Option<String>,
    /// `tenant`: expression for who shares a fate. Default: by the claims that are there.
    pub tenant: Option<String>,
    /// `group`: expression for the group of the tenant. Default: by the claims that are there, else the issuer.
    pub group: Option<String>,
    /// `protect_if`: boolean expression; what is written is evicted after everything else of its tenant. Default: by
    /// the claims that are there.
    pub protect_if: Option<String>,
    /// `leeway`: accepted clock difference for `exp`, `nbf` and `iat`. Default 30 s, at most 5 min.
    pub leeway: Duration,
    /// `max_age`: longest accepted time since `iat`, 1 s to 168 h. Default: not checked.
    pub max_age: Option<Duration>,
    /// `jwks_file`: a key set on disk instead of discovery, for issuers that cannot be reached.
    pub jwks_file: Option<PathBuf>,
    /// `jwks_url`: where the key set is, in place of discovery. `url` stays the name of the issuer.
    pub jwks_url: Option<Url>,
    /// `jwks_token_file`: a file with a token that is sent as `Bearer` with requests for the discovery document and
    /// the key set, over https or to loopback addresses only. Read anew for each fetch.
    pub jwks_token_file: Option<PathBuf>,
    /// `ca_file`: certificates of authorities (PEM) that are trusted for this issuer beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// `outbound_proxy_file` at the top of the file.
    pub outbound_proxy_file: Option<PathBuf>,
    /// `allow_insecure_http`: accept an `http://` issuer that is not on a loopback address.
    pub allow_insecure_http: bool,
}

/// The `disk` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// `dir`: the directory of the tier. Made if it does not exist.
    pub dir: PathBuf,
    /// `limit`: upper bound of everything below `dir`, in bytes as `du` counts them. 1 MiB to 8 EiB.
    pub limit: u64,
    /// `min_free`: bytes of the volume that are left to others: entries are evicted until so many are free. Default 0.
    pub min_free: u64,
    /// `durability`: whether an entry is synced before it is answered. Default relaxed.
    pub durability: Durability,
    /// `memory`: upper bound of bodies kept in memory, in bytes. At least 1. Default 32 MiB.
    pub memory: u64,
    /// `open_files`: upper bound of entries kept open, 1 to 1048576. Default: a quarter of the process'
    /// limit, at most 4096.
    pub open_files: Option<usize>,
    /// `revalidate_after`: with `s3`, an entry that was not compared with the bucket for this long is compared
    /// before it is served, 1 s to 168 h. Default: never; set it when several servers share the bucket.
    pub revalidate_after: Option<Duration>,
}

/// The `s3` section: the shared tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// `bucket`: the bucket's name.
    pub bucket: String,
    /// `prefix`: goes in front of the name of every object. Empty, or ends with a slash. Default empty.
    pub prefix: String,
    /// `region`. Default: what the environment, the profile or (without `endpoint_url`) the metadata service
    /// of the machine says, else `us-east-1`.
    pub region: Option<String>,
    /// `endpoint_url`: the server to ask instead of AWS. `http` only for loopback hosts, or with
    /// `allow_insecure_http: true` beside it.
    pub endpoint_url: Option<Url>,
    /// `ca_file`: certificates of authorities (PEM) that are trusted for S3 beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// `force_path_style`: the bucket in the path, not in the host name. Default: true with an
    /// `endpoint_url`, else false.
    pub force_path_style: bool,
    /// `checksums`: whether requests carry checksums that S3 can do without. Default: `when_required`
    /// with an `endpoint_url`, else `when_supported`.
    pub checksums: S3Checksums,
    /// `storage_class` of new objects. Default: the bucket's.
    pub storage_class: Option<String>,
    /// `server_side_encryption` of new objects. Default: the bucket's.
    pub server_side_encryption: Option<ServerSideEncryption>,
    /// `sse_kms_key_id`: the key for `aws:kms` and `aws:kms:dsse`. Default: the bucket's.
    pub sse_kms_key_id: Option<String>,
    /// `access_key_id_file` and its neighbours. Default: the chain of the SDK (environment, profile,
    /// web identity, ECS, EKS, EC2).
    pub credentials: Option<S3CredentialFiles>,
    /// `denied_is_missing`: S3 answers 403 for a missing object to a caller that may not list the
    /// bucket; take that for a miss. Default false.
    pub denied_is_missing: bool,
    /// `connect_timeout`: 100 ms to 1 min. Default 3 s.
    pub connect_timeout: Duration,
    /// `read_timeout`: longest wait for the beginning of an answer, 1 s to 5 min. Default 5 s.
    pub read_timeout: Duration,
    /// `idle_timeout`: longest pause inside of a body, 1 s to 5 min. Default 20 s.
    pub idle_timeout: Duration,
    /// `lookup_timeout`: how long a read may look for an entry, over all retries and the wait for a permit, 100 ms
    /// to 1 min; then it is a miss. Default 2 s.
    pub lookup_timeout: Duration,
    /// `write_timeout`: how long one request that writes may take over all retries and the wait for a permit, and a
    /// commit as a whole, 1 s to 1 h; a body gets more by its length. Default 5 min.
    pub write_timeout: Duration,
    /// `max_concurrency`: requests to S3 at once, 1 to 1024. Default 64.
    pub max_concurrency: usize,
    /// `part_size`: bytes of a part of a large object, both ways. A multiple of 1 MiB, 5 MiB to 1 GiB.
    /// Default 8 MiB.
    pub part_size: u64,
    /// `parallel_parts`: parts of one object that are under way at once, 1 to 64. Default 8.
    pub parallel_parts: usize,
    /// `write`: when a write is answered. Default through.
    pub write: WriteMode,
    /// `when_down`: what becomes of a write while S3 cannot be used. Default queue; without a disk it is always refuse,
    /// unless `staging_dir` is set.
    pub when_down: WhenDown,
    /// `queue_limit`: bytes that may wait for their upload; beyond that a write is answered when S3 has it. Default:
    /// half of `disk.limit` or `staging_limit`.
    pub queue_limit: Option<u64>,
    /// `redirect`: whether clients are sent to S3 for large entries that are not on the disk. Default
    /// never.
    pub redirect: RedirectMode,
    /// `staging_dir`: the small disk in front of the bucket when there is no `disk`. Default: a private
    /// folder below the state directory of the service or of the user.
    pub staging_dir: Option<PathBuf>,
    /// `staging_limit`: upper bound of everything below `staging_dir`, in bytes. At least 1 MiB. Default
    /// 10 GB.
    pub staging_limit: u64,
}

/// Credentials in files, read anew whenever they are needed, so that they can be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3CredentialFiles {
    /// `access_key_id_file`.
    pub access_key_id: PathBuf,
    /// `secret_access_key_file`.
    pub secret_access_key: PathBuf,
    /// `session_token_file`.
    pub session_token: Option<PathBuf>,
}

/// The `limits` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `max_entry_size`: largest accepted body, in bytes. At least 1. Default: the
    /// smaller of 10 GiB and three quarters of what the tiers can hold.
    pub max_entry_size: Option<u64>,
    /// `max_connections`: connections served at once; for a further one, the connection that has been without an
    /// accepted token for longest is ended. 1 to 1048576. Default 16384.
    pub max_connections: usize,
    /// `connections_per_address`: how many of these places one address (of IPv6: a network of 64 bits) may have for
    /// connections that never sent an accepted token; for a further one, its oldest is ended. Those of `trusted_proxies` do not count. 1 to 1048576.
    /// Default: a quarter of `max_connections`, at least 64.
    pub connections_per_address: Option<usize>,
    /// `body_idle_timeout`: longest pause inside of a request body, 1 s to 1 h. Default 60 s.
    pub body_idle_timeout: Duration,
    /// `keep_alive`: how long a connection stays open without a request under way, 1 s to 1 h. Default 120 s; ccache and Bazel
    /// need more than 75 s.
    pub keep_alive: Duration,
    /// `drain_timeout`: how long running requests may take after SIGTERM, 0 s to 1 h. Default 30 s.
    pub drain_timeout: Duration,
    /// `memory`: upper bound of what requests hold in memory and of small bodies (`disk.memory`, at most half of it), in
    /// bytes. At least 32 MiB. Without it, a `disk.memory` above 32 MiB comes on top. Default: 128 MiB, or a quarter of the memory of the machine or its control group if that is less.
    pub memory: Option<u64>,
    /// `index_memory`: upper bound of what the index of the Actions cache and the tokens that were verified take in
    /// memory, in bytes. Beyond it, the oldest of those that take most go. At least 4 MiB. Default 256 MiB.
    pub index_memory: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_entry_size: None,
            max_connections: defaults::MAX_CONNECTIONS,
            connections_per_address: None,
            body_idle_timeout: defaults::BODY_IDLE_TIMEOUT,
            keep_alive: defaults::KEEP_ALIVE,
            drain_timeout: defaults::DRAIN_TIMEOUT,
            memory: None,
            index_memory: defaults::INDEX_MEMORY,
        }
    }
}

/// The `gha` section: the cache of GitHub Actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GhaConfig {
    /// `signing_key_file`: another name of the key at the top of the file, which stands above it.
    pub signing_key_file: Option<PathBuf>,
    /// `link_lifetime`: how long a download link is good, 1 min to 24 h. Default 1 h.
    pub link_lifetime: Duration,
    /// `upload_timeout`: an upload without traffic for this long is given up, 1 min to 24 h. Default 15 min.
    pub upload_timeout: Duration,
    /// `upload_age`: no upload takes longer, whatever traffic it has, 1 min to 24 h. Default 6 h.
    pub upload_age: Duration,
    /// `max_uploads`: uploads at once in one namespace, 1 to 100000. Default 1024.
    pub max_uploads: usize,
    /// `forward_unknown_to`: where requests for GitHub's other services go: scheme, host and port. Only hosts of
    /// GitHub, because the token goes along, and loopback ones. Default: nowhere.
    pub forward_unknown_to: Option<Url>,
    /// `advertise_url`: under which the other servers of the bucket reach this one: scheme, host and port. `http`
    /// only for loopback hosts, or with `allow_insecure_http: true` at the top of the file. Default: not at all.
    pub advertise_url: Option<Url>,
    /// Not in the file: how often this server renews its heartbeat in the bucket, 10 s; revoked job tokens are looked for
    /// twice as often. A server that misses three
    /// counts as gone. Tests set less.
    pub heartbeat: Duration,
}

impl Default for GhaConfig {
    fn default() -> Self {
        Self {
            signing_key_file: None,
            link_lifetime: defaults::GHA_LINK_LIFETIME,
            upload_timeout: defaults::GHA_UPLOAD_TIMEOUT,
            upload_age: defaults::GHA_UPLOAD_AGE,
            max_uploads: defaults::GHA_MAX_UPLOADS,
            forward_unknown_to: None,
            advertise_url: None,
            heartbeat: defaults::GHA_HEARTBEAT_INTERVAL,
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
            scopes: None,
            allow_if: None,
            write_if: None,
            tenant: None,
            group: None,
            protect_if: None,
            leeway: defaults::LEEWAY,
            max_age: None,
            jwks_file: None,
            jwks_url: None,
            jwks_token_file: None,
            ca_file: None,
            outbound_proxy_file: None,
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
            min_free: 0,
            durability: Durability::default(),
            memory: defaults::MEMORY_BYTES,
            open_files: None,
            revalidate_after: None,
        }
    }
}

impl S3Config {
    /// The bucket of AWS with this name; all else is default. Nothing is checked here.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            region: None,
            endpoint_url: None,
            ca_file: None,
            force_path_style: false,
            checksums: S3Checksums::WhenSupported,
            storage_class: None,
            server_side_encryption: None,
            sse_kms_key_id: None,
            credentials: None,
            denied_is_missing: false,
            connect_timeout: defaults::S3_CONNECT_TIMEOUT,
            read_timeout: defaults::S3_READ_TIMEOUT,
            idle_timeout: defaults::S3_IDLE_TIMEOUT,
            lookup_timeout: defaults::S3_LOOKUP_TIMEOUT,
            write_timeout: defaults::S3_WRITE_TIMEOUT,
            max_concurrency: defaults::S3_MAX_CONCURRENCY,
            part_size: defaults::S3_PART_SIZE,
            parallel_parts: defaults::S3_PARALLEL_PARTS,
            write: WriteMode::default(),
            when_down: WhenDown::default(),
            queue_limit: None,
            redirect: RedirectMode::default(),
            staging_dir: None,
            staging_limit: defaults::S3_STAGING_LIMIT,
        }
    }

    /// What the names of all objects begin with. The number is that of their form: a later one can stand
    /// beside it.
    pub fn object_prefix(&self) -> String {
        format!("{}v1/", self.prefix)
    }

    /// The same with another server than AWS, and with what that changes.
    #[must_use]
    pub fn at(mut self, endpoint_url: Url) -> Self {
        self.endpoint_url = Some(endpoint_url);
        self.force_path_style = true;
        self.checksums = S3Checksums::WhenRequired;
        self
    }
}

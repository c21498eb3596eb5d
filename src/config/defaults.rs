//! The defaults and the accepted ranges, in one place. `config.example.yaml` shows the same values;
//! a test keeps both equal.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Algorithm, ListenAddr};

/// `listen`: loopback, so that a first try does not open a cache to the network.
pub fn listen() -> Vec<ListenAddr> {
    vec![loopback(8080)]
}

/// `ops_listen`: a port of its own, because `/health` and `/metrics` are legal cache keys.
pub fn ops_listen() -> ListenAddr {
    loopback(9080)
}

fn loopback(port: u16) -> ListenAddr {
    ListenAddr::Tcp(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))
}

/// `oidc_providers[].algorithms`: what the known issuers sign with.
pub const ALGORITHMS: &[Algorithm] = &[Algorithm::RS256, Algorithm::ES256];

/// `oidc_providers[].leeway`.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// `disk.memory`, in bytes.
pub const MEMORY_BYTES: u64 = 32 << 20;

/// `limits.memory`, in bytes, where the machine has enough: a quarter of its memory if that is less.
pub const LIMITS_MEMORY: u64 = 128 << 20;

/// The least value of `limits.memory`, in bytes: the longest call needs some of it.
pub(super) const MIN_LIMITS_MEMORY: u64 = 32 << 20;

/// `limits.index_memory`, in bytes.
pub const INDEX_MEMORY: u64 = 256 << 20;

/// The least value of `limits.index_memory`, in bytes.
pub(super) const MIN_INDEX_MEMORY: u64 = 4 << 20;

/// `limits.max_connections`.
pub const MAX_CONNECTIONS: usize = 16_384;

/// `limits.body_idle_timeout`.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// `limits.keep_alive`: longer than the pauses of ccache and Bazel.
pub const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// `limits.drain_timeout`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// `s3.connect_timeout`.
pub const S3_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// `s3.read_timeout`.
pub const S3_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// `s3.idle_timeout`.
pub const S3_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// `s3.lookup_timeout`: a build waits for a miss no longer.
pub const S3_LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// `s3.write_timeout`: S3 may need minutes to put a large object together.
pub const S3_WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// `s3.max_concurrency`.
pub const S3_MAX_CONCURRENCY: usize = 64;

/// `s3.part_size`, in bytes.
pub const S3_PART_SIZE: u64 = 8 << 20;

/// `s3.parallel_parts`.
pub const S3_PARALLEL_PARTS: usize = 8;

/// `s3.staging_limit`, in bytes.
pub const S3_STAGING_LIMIT: u64 = 10_000_000_000;

/// `gha.link_lifetime`: longer than a slow download takes, and than a build may pause between two.
pub const GHA_LINK_LIFETIME: Duration = HOUR;

/// `gha.upload_timeout`.
pub const GHA_UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// `gha.upload_age`.
pub const GHA_UPLOAD_AGE: Duration = Duration::from_secs(6 * 3600);

/// `gha.max_uploads`.
pub const GHA_MAX_UPLOADS: usize = 1024;

/// `job_tokens.default_ttl`: longer than most jobs.
pub const JOB_TOKEN_TTL: Duration = HOUR;

/// `job_tokens.max_ttl`: as long as a hosted runner of GitHub lets a job run.
pub const JOB_TOKEN_MAX_TTL: Duration = Duration::from_secs(6 * 3600);

/// Between two heartbeats of a server with `gha.advertise_url`.
pub const GHA_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;

/// The most entries of `cache_key_exprs`: each is one more look-up for a miss.
pub(super) const MAX_EXPRESSIONS: usize = 16;

/// The most entries of `tenants`: a tenant's name is held against all of them once.
pub(super) const MAX_TENANT_RULES: usize = 1024;

/// The most bytes of `match`: longer than any name of a tenant.
pub(super) const MAX_PATTERN_BYTES: usize = 4096;

/// The longest URL of an issuer. Each octet may take three in a name, and a value of 256 bytes stands behind it.
pub(super) const MAX_ISSUER_BYTES: usize = 1024;

/// The least `expire_after_unused` with `s3`, where the last use of an entry is noted once a day.
pub(super) const MIN_UNUSED_WITH_REMOTE: Duration = Duration::from_secs(48 * 3600);

/// The least value of `disk.limit` and `s3.staging_limit`, in bytes.
pub(super) const MIN_DISK_LIMIT: u64 = 1 << 20;

/// The most bytes of `s3.prefix`: with what Chacha appends, names stay far below the 1,024 bytes of S3.
pub(super) const MAX_PREFIX_BYTES: usize = 256;

const HOUR: Duration = Duration::from_secs(3600);

/// Accepted values of `leeway`. A wider one would keep expired tokens alive.
pub(super) const LEEWAY_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(300);

/// Accepted values of `max_age`.
pub(super) const MAX_AGE_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(168 * 3600);

/// Accepted values of `tenants[].max_age` and `expire_after_unused`.
pub(super) const ENTRY_AGE_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3650 * 24 * 3600);

/// Accepted values of `weight`.
pub(super) const WEIGHT_RANGE: RangeInclusive<u64> = 1..=1000;

/// Accepted values of `max_entries` and `requests_in_flight`.
pub(super) const TENANT_COUNT_RANGE: RangeInclusive<u64> = 1..=1_000_000_000;

/// Accepted values of `body_idle_timeout` and `keep_alive`.
pub(super) const IDLE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;

/// Accepted values of `drain_timeout`; zero cuts running requests at once.
pub(super) const DRAIN_RANGE: RangeInclusive<Duration> = Duration::ZERO..=HOUR;

/// Accepted values of `max_connections` and `open_files`.
pub(super) const COUNT_RANGE: RangeInclusive<u64> = 1..=1_048_576;

/// Accepted values of `revalidate_after`.
pub(super) const REVALIDATE_RANGE: RangeInclusive<Duration> = MAX_AGE_RANGE;

/// Accepted values of `connect_timeout`.
pub(super) const S3_CONNECT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);

/// Accepted values of `read_timeout` and `idle_timeout`.
pub(super) const S3_WAIT_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// Accepted values of `lookup_timeout`.
pub(super) const S3_LOOKUP_RANGE: RangeInclusive<Duration> = S3_CONNECT_RANGE;

/// Accepted values of `write_timeout`.
pub(super) const S3_WRITE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;

/// Accepted values of `max_concurrency`.
pub(super) const S3_CONCURRENCY_RANGE: RangeInclusive<u64> = 1..=1024;

/// Accepted values of `parallel_parts`.
pub(super) const S3_PARALLEL_RANGE: RangeInclusive<u64> = 1..=64;

/// Accepted values of `part_size`, in bytes: no part but the last may be smaller, says S3.
pub(super) const S3_PART_RANGE: RangeInclusive<u64> = 5 << 20..=1 << 30;

/// Accepted values of `link_lifetime`, `upload_timeout` and `upload_age`.
pub(super) const GHA_LIFETIME_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// Accepted values of `default_ttl` and `max_ttl`.
pub(super) const JOB_TOKEN_TTL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// Accepted values of `max_uploads`.
pub(super) const GHA_UPLOADS_RANGE: RangeInclusive<u64> = 1..=100_000;

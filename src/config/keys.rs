//! Every key that the file may hold, by section. A key that is not here is refused.

/// One key of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Its name in the file.
    pub(super) name: &'static str,
    /// Whether its value is hidden in every message. A function that reads such a key must not
    /// repeat the value in its error either. No message offers such a key.
    pub(super) secret: bool,
}

const fn plain(name: &'static str) -> Key {
    Key { name, secret: false }
}

const fn secret(name: &'static str) -> Key {
    Key { name, secret: true }
}

/// The keys at the top of the file.
pub(super) const ROOT: &[Key] = &[
    plain("listen"),
    plain("ops_listen"),
    plain("base_url"),
    plain("allow_insecure_http"),
    plain("outbound_proxy_file"),
    plain("trusted_proxies"),
    plain("signing_key_file"),
    plain("signing_key_file_former"),
    plain("job_tokens"),
    plain("oidc_providers"),
    plain("disk"),
    plain("s3"),
    plain("limits"),
    plain("tenants"),
    plain("gha"),
];

/// The keys of `job_tokens`.
pub(super) const JOB_TOKENS: &[Key] = &[plain("default_ttl"), plain("max_ttl")];

/// The keys of one entry of `oidc_providers`.
pub(super) const PROVIDER: &[Key] = &[
    plain("url"),
    plain("audiences"),
    plain("algorithms"),
    plain("cache_key_exprs"),
    plain("scopes"),
    plain("allow_if"),
    plain("write_if"),
    plain("tenant"),
    plain("group"),
    plain("protect_if"),
    plain("leeway"),
    plain("max_age"),
    plain("jwks_file"),
    plain("jwks_url"),
    plain("jwks_token_file"),
    plain("ca_file"),
    plain("allow_insecure_http"),
    plain("allow_trailing_slash"),
];

/// The keys of `disk`.
pub(super) const DISK: &[Key] = &[
    plain("dir"),
    plain("limit"),
    plain("min_free"),
    plain("durability"),
    plain("memory"),
    plain("open_files"),
    plain("revalidate_after"),
];

/// The keys of `s3`. The secret ones are known so that they can be refused with advice.
pub(super) const S3: &[Key] = &[
    plain("bucket"),
    plain("prefix"),
    plain("region"),
    plain("endpoint_url"),
    plain("ca_file"),
    plain("allow_insecure_http"),
    plain("force_path_style"),
    plain("checksums"),
    plain("storage_class"),
    plain("server_side_encryption"),
    plain("sse_kms_key_id"),
    plain("access_key_id_file"),
    plain("secret_access_key_file"),
    plain("session_token_file"),
    secret("access_key_id"),
    secret("secret_access_key"),
    secret("session_token"),
    plain("denied_is_missing"),
    plain("connect_timeout"),
    plain("read_timeout"),
    plain("idle_timeout"),
    plain("lookup_timeout"),
    plain("write_timeout"),
    plain("max_concurrency"),
    plain("part_size"),
    plain("parallel_parts"),
    plain("write"),
    plain("when_down"),
    plain("queue_limit"),
    plain("redirect"),
    plain("staging_dir"),
    plain("staging_limit"),
];

/// The keys of `limits`.
pub(super) const LIMITS: &[Key] = &[
    plain("max_entry_size"),
    plain("max_connections"),
    plain("connections_per_address"),
    plain("body_idle_timeout"),
    plain("keep_alive"),
    plain("drain_timeout"),
    plain("memory"),
    plain("index_memory"),
];

/// The keys of one entry of `tenants`.
pub(super) const TENANTS: &[Key] = &[
    plain("match"),
    plain("min_share"),
    plain("weight"),
    plain("max_bytes"),
    plain("max_entries"),
    plain("max_age"),
    plain("expire_after_unused"),
    plain("max_entry_size"),
    plain("max_uploads"),
    plain("write_rate"),
    plain("requests_in_flight"),
];

/// The keys of `gha`.
pub(super) const GHA: &[Key] = &[
    plain("signing_key_file"),
    plain("link_lifetime"),
    plain("upload_timeout"),
    plain("upload_age"),
    plain("max_uploads"),
    plain("forward_unknown_to"),
    plain("advertise_url"),
];

/// All sections below the top, with the name under which a message speaks of them.
pub(super) const SECTIONS: &[(&str, &[Key])] = &[
    ("job_tokens", JOB_TOKENS),
    ("oidc_providers", PROVIDER),
    ("disk", DISK),
    ("s3", S3),
    ("limits", LIMITS),
    ("tenants", TENANTS),
    ("gha", GHA),
];

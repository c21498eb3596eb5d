//! Every key of the configuration is either reloaded or named.

use serde_yaml::Value;

use super::*;
use crate::config::example::{config, every_key, with_every_key};

/// A value for each key that differs from the one in `config.example.yaml`.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("listen", "127.0.0.1:8181"),
    ("ops_listen", "127.0.0.1:9181"),
    ("base_url", "https://other.example.com"),
    ("allow_insecure_http", "true"),
    ("outbound_proxy_file", "other"),
    ("trusted_proxies", "[unix]"),
    ("signing_key_file", "other"),
    ("signing_key_file_former", "other"),
    ("job_tokens.default_ttl", "7m"),
    ("job_tokens.max_ttl", "7h"),
    ("oidc_providers.url", "https://other.example.com"),
    ("oidc_providers.audiences", "[https://other.example.com]"),
    ("oidc_providers.algorithms", "[ES384]"),
    ("oidc_providers.cache_key_exprs", "[claims.other]"),
    ("oidc_providers.scopes", ""),
    ("oidc_providers.allow_if", "claims.other == 'a'"),
    ("oidc_providers.write_if", "claims.other == 'a'"),
    ("oidc_providers.tenant", "claims.other"),
    ("oidc_providers.group", "claims.other"),
    ("oidc_providers.protect_if", "claims.other == 'a'"),
    ("oidc_providers.leeway", "7s"),
    ("oidc_providers.max_age", "7h"),
    ("oidc_providers.jwks_file", "other.json"),
    ("oidc_providers.jwks_url", "https://other.example.com/keys"),
    ("oidc_providers.jwks_token_file", "other"),
    ("oidc_providers.ca_file", "other"),
    ("oidc_providers.allow_insecure_http", "true"),
    ("oidc_providers.allow_trailing_slash", "true"),
    ("disk.dir", "other"),
    ("disk.limit", "70GB"),
    ("disk.min_free", "7GB"),
    ("disk.durability", "fsync"),
    ("disk.memory", "7MB"),
    ("disk.open_files", "7"),
    ("disk.revalidate_after", "7s"),
    ("s3.bucket", "other-bucket"),
    ("s3.prefix", "other/"),
    ("s3.region", "other-region"),
    ("s3.endpoint_url", "https://other.example.com"),
    ("s3.ca_file", "other"),
    ("s3.allow_insecure_http", "true"),
    ("s3.force_path_style", "true"),
    ("s3.checksums", "when_required"),
    ("s3.storage_class", "STANDARD_IA"),
    ("s3.server_side_encryption", "aws:kms:dsse"),
    ("s3.sse_kms_key_id", "other"),
    ("s3.access_key_id_file", "other"),
    ("s3.secret_access_key_file", "other"),
    ("s3.session_token_file", "other"),
    ("s3.denied_is_missing", "true"),
    ("s3.connect_timeout", "7s"),
    ("s3.read_timeout", "7s"),
    ("s3.idle_timeout", "7s"),
    ("s3.lookup_timeout", "7s"),
    ("s3.write_timeout", "7m"),
    ("s3.max_concurrency", "7"),
    ("s3.part_size", "7MiB"),
    ("s3.parallel_parts", "7"),
    ("s3.write", "through"),
    ("s3.when_down", "refuse"),
    ("s3.queue_limit", "7GB"),
    ("s3.redirect", "large"),
    ("s3.staging_dir", "other"),
    ("s3.staging_limit", "7GB"),
    ("limits.max_entry_size", "7GB"),
    ("limits.max_connections", "7"),
    ("limits.connections_per_address", "7"),
    ("limits.body_idle_timeout", "7s"),
    ("limits.keep_alive", "77s"),
    ("limits.drain_timeout", "7s"),
    ("limits.memory", "77MiB"),
    ("limits.index_memory", "77MiB"),
    ("tenants.match", "other"),
    ("tenants.min_share", "7GB"),
    ("tenants.weight", "7"),
    ("tenants.max_bytes", "7GB"),
    ("tenants.max_entries", "7"),
    ("tenants.max_age", "7d"),
    ("tenants.expire_after_unused", "7d"),
    ("tenants.max_entry_size", "7GB"),
    ("tenants.max_uploads", "7"),
    ("tenants.write_rate", "7MB/s"),
    ("tenants.requests_in_flight", "7"),
    ("gha.signing_key_file", "other"),
    ("gha.link_lifetime", "7m"),
    ("gha.upload_timeout", "7m"),
    ("gha.upload_age", "7h"),
    ("gha.max_uploads", "7"),
    ("gha.forward_unknown_to", "https://results.other.ghe.com"),
    ("gha.advertise_url", "https://other.internal"),
];

/// Keys that only decide which values of other keys are accepted.
const SWITCHES: &[&str] = &[
    "allow_insecure_http",
    "oidc_providers.allow_trailing_slash",
    "s3.allow_insecure_http",
];

/// The example with another value, or without one, for one key.
fn changed(key: &str, other: &str) -> Config {
    let mut file = with_every_key();
    let other: Value = serde_yaml::from_str(other).unwrap();
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let values = match section {
        "" => &mut file,
        "oidc_providers" | "tenants" => &mut file[section][0],
        _ => &mut file[section],
    };
    let values = values.as_mapping_mut().unwrap();
    if key == "s3.write" {
        // It only goes with a queue.
        values.remove("queue_limit");
    }
    match other {
        Value::Null => drop(values.remove(name)),
        other => drop(values.insert(name.into(), other)),
    }
    config(&file)
}

#[test]
fn every_key_is_reloaded_or_named() {
    let old = config(&with_every_key());
    for key in every_key() {
        let row = OTHER_VALUES.iter().find(|(name, _)| *name == key);
        let (_, other) = row.unwrap_or_else(|| panic!("{key}: give it another value above"));
        let new = changed(&key, other);
        assert_eq!(new == old, SWITCHES.contains(&&*key), "{key}: {other}");
        let used = reloaded(&old, new.clone());
        let named = needs_restart(&used, &new);
        let section = key.split('.').next().unwrap();
        match &named[..] {
            [] => assert!(used == new, "{key} is neither reloaded nor named"),
            [name] => assert!(*name == key || *name == section, "{key}: {name}"),
            names => panic!("{key}: {names:?}"),
        }
    }
}

#[test]
fn what_is_reloaded_is_not_named() {
    let old = config(&with_every_key());
    for key in [
        "oidc_providers.url",
        "job_tokens.max_ttl",
        "tenants.weight",
        "limits.max_entry_size",
        "limits.body_idle_timeout",
        "limits.drain_timeout",
    ] {
        let (_, other) = OTHER_VALUES.iter().find(|(name, _)| *name == key).unwrap();
        let new = changed(key, other);
        assert_eq!(
            needs_restart(&reloaded(&old, new.clone()), &new),
            [""; 0],
            "{key}"
        );
    }
}

#[test]
fn keys_of_disk_and_limits_are_named_each() {
    let old = config(&with_every_key());
    for (key, other) in OTHER_VALUES.iter().filter(|(key, _)| key.starts_with("disk.")) {
        let new = changed(key, other);
        assert_eq!(needs_restart(&reloaded(&old, new.clone()), &new), [*key]);
    }
    let mut new = old.clone();
    (new.limits.max_connections, new.limits.keep_alive) = (7, Duration::from_secs(7));
    let expected = ["limits.max_connections", "limits.keep_alive"];
    assert_eq!(needs_restart(&reloaded(&old, new.clone()), &new), expected);
    new.disk = None;
    let expected = [&["disk"], &expected[..]].concat();
    assert_eq!(needs_restart(&reloaded(&old, new.clone()), &new), expected);
}

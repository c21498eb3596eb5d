//! What accepted settings mean.

use std::path::Path;
use std::time::Duration;

use chacha::config::{
    RedirectMode, S3Checksums, S3Config, S3CredentialFiles, ServerSideEncryption, WhenDown, WriteMode,
};

use super::super::{PROVIDER, accepted};
use super::{alone, check_warning, read, with_disk};

#[test]
fn a_bucket_is_enough() {
    let loaded = accepted(&alone(""));
    assert!(loaded.config.disk.is_none());
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.s3, Some(S3Config::new("my-bucket")));
    assert_eq!(read(&with_disk("")), S3Config::new("my-bucket"));
}

#[test]
fn another_server_changes_defaults_that_may_be_changed_back() {
    let config = read(&alone("endpoint_url: https://s3.example.com"));
    let url = "https://s3.example.com".parse().unwrap();
    assert_eq!(config, S3Config::new("my-bucket").at(url));
    assert!(config.force_path_style);
    assert_eq!(config.checksums, S3Checksums::WhenRequired);

    let config = read(&alone(
        "endpoint_url: https://s3.example.com\nforce_path_style: false\nchecksums: when_supported",
    ));
    assert!(!config.force_path_style);
    assert_eq!(config.checksums, S3Checksums::WhenSupported);

    let config = read(&alone("force_path_style: true\nchecksums: when_required"));
    assert!(config.force_path_style);
    assert_eq!(config.checksums, S3Checksums::WhenRequired);
}

#[test]
fn every_setting_is_read() {
    let text = with_disk(
        "prefix: /ci/cache
region: eu-central-1
storage_class: STANDARD_IA
server_side_encryption: aws:kms:dsse
sse_kms_key_id: arn:aws:kms:eu-central-1:1:key/2
access_key_id_file: /run/id
secret_access_key_file: /run/secret
session_token_file: /run/token
denied_is_missing: true
connect_timeout: 100ms
read_timeout: 5m
idle_timeout: 1
lookup_timeout: 100ms
write_timeout: 1h
max_concurrency: 1024
part_size: 1GiB
parallel_parts: 64
write: back
when_down: refuse
queue_limit: 1GB
redirect: large",
    );
    let expected = S3Config {
        prefix: "ci/cache/".to_owned(),
        region: Some("eu-central-1".to_owned()),
        storage_class: Some("STANDARD_IA".to_owned()),
        server_side_encryption: Some(ServerSideEncryption::KmsDsse),
        sse_kms_key_id: Some("arn:aws:kms:eu-central-1:1:key/2".to_owned()),
        credentials: Some(S3CredentialFiles {
            access_key_id: "/run/id".into(),
            secret_access_key: "/run/secret".into(),
            session_token: Some("/run/token".into()),
        }),
        denied_is_missing: true,
        connect_timeout: Duration::from_millis(100),
        read_timeout: Duration::from_secs(300),
        idle_timeout: Duration::from_secs(1),
        lookup_timeout: Duration::from_millis(100),
        write_timeout: Duration::from_secs(3600),
        max_concurrency: 1024,
        part_size: 1 << 30,
        parallel_parts: 64,
        write: WriteMode::Back,
        when_down: WhenDown::Refuse,
        queue_limit: Some(1_000_000_000),
        redirect: RedirectMode::Large,
        ..S3Config::new("my-bucket")
    };
    assert_eq!(read(&text), expected);

    let config = read(&alone("staging_dir: /var/tmp/c\nstaging_limit: 1MiB"));
    assert_eq!(config.staging_dir.as_deref(), Some(Path::new("/var/tmp/c")));
    assert_eq!(config.staging_limit, 1 << 20);
}

#[test]
fn what_is_not_used_gets_a_warning() {
    check_warning(&with_disk("staging_dir: /tmp/s"), "s3.staging_dir", "is not used");
    check_warning(
        &with_disk("staging_limit: 1GB"),
        "s3.staging_limit",
        "is not used",
    );
    let revalidated = alone("").replace("  \n", "") + "disk: {dir: d, limit: 1GB, revalidate_after: 5m}\n";
    let loaded = accepted(&revalidated);
    assert_eq!(loaded.warnings, []);
    let disk = loaded.config.disk.unwrap();
    assert_eq!(disk.revalidate_after, Some(Duration::from_secs(300)));
}

/// The blocks of a page in one language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let start = format!("```{language}\n");
    let blocks = page.split(start.as_str()).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_settings_of_the_documentation_are_accepted() {
    let page = include_str!("../../../../docs/s3.md");
    let readme = include_str!("../../../../README.md");
    let settings = |page| {
        let blocks = blocks(page, "yaml").into_iter();
        blocks.filter(|block| block.contains("s3:\n")).collect::<Vec<_>>()
    };
    assert_eq!((settings(page).len(), settings(readme).len()), (6, 1));
    for block in [settings(page), settings(readme)].concat() {
        read(&format!("{PROVIDER}{block}"));
    }
    // The policy is the same on both pages, and valid.
    let (policies, rules) = (blocks(readme, "json"), blocks(page, "json"));
    assert_eq!(policies[..1], rules[..1]);
    for block in rules {
        serde_json::from_str::<serde_json::Value>(block).unwrap();
    }
}

//! `job_tokens` and the files of the keys that seal.

use std::path::Path;
use std::time::Duration;

use chacha::config::{Config, JobTokensConfig};

use super::{DISK, PROVIDER, accepted, check_refused};

/// The file from line 6 on.
fn text(settings: &str) -> String {
    format!("{PROVIDER}{DISK}{settings}\n")
}

fn read(settings: &str) -> Config {
    let loaded = accepted(&text(settings));
    assert_eq!(loaded.warnings, [], "{settings}");
    loaded.config
}

#[test]
fn off_is_off_in_every_version_of_yaml_and_the_rest_has_defaults() {
    for off in ["off", "Off", "false", "\"off\""] {
        assert_eq!(read(&format!("job_tokens: {off}")).job_tokens, None, "{off}");
    }
    for settings in [
        "",
        "job_tokens:",
        "job_tokens: {}",
        "job_tokens: {default_ttl: 1h, max_ttl: 6h}",
    ] {
        assert_eq!(
            read(settings).job_tokens,
            Some(JobTokensConfig::default()),
            "{settings}"
        );
    }
    let short = read("job_tokens: {max_ttl: 10m}").job_tokens.unwrap();
    assert_eq!(
        (short.default_ttl, short.max_ttl),
        (Duration::from_secs(600), Duration::from_secs(600))
    );
}

#[test]
fn refused_values() {
    let check =
        |settings: &str, expected: &str| check_refused(&text(settings), &[&format!("c.yaml:6: {expected}")]);
    check(
        "job_tokens: true",
        "job_tokens: true is not a section; write keys below it: default_ttl, max_ttl",
    );
    check(
        "job_tokens: {max_ttl: 59s}",
        "job_tokens.max_ttl: \"59s\" is too short",
    );
    check(
        "job_tokens: {max_ttl: 25h}",
        "job_tokens.max_ttl: \"25h\" is too long",
    );
    check(
        "job_tokens: {default_ttl: 7h}",
        "job_tokens.default_ttl: is longer than max_ttl",
    );
    check("job_tokens: {ttl: 7h}", "job_tokens.ttl: unknown key \"ttl\"");
    check(
        "signing_key_file: ~/key",
        "signing_key_file: \"~/key\" is taken as it stands",
    );
}

#[test]
fn both_names_of_the_key_file_are_read_and_the_one_at_the_top_counts() {
    let named = |config: &Config| {
        let (key, file) = config.signing_key().unwrap();
        (key, file.clone())
    };
    let top = read("signing_key_file: a\nsigning_key_file_former: b");
    assert_eq!(named(&top), ("signing_key_file", "a".into()));
    assert_eq!(top.signing_key_file_former.as_deref(), Some(Path::new("b")));
    assert_eq!(
        named(&read("gha: {signing_key_file: c}")),
        ("gha.signing_key_file", "c".into())
    );
    let both = accepted(&text("signing_key_file: a\ngha: {signing_key_file: c}"));
    assert_eq!(named(&both.config), ("signing_key_file", "a".into()));
    assert!(
        both.warnings[0]
            .to_string()
            .contains("c.yaml:7: gha.signing_key_file: is not used"),
        "{:?}",
        both.warnings
    );
}

#[test]
fn a_bucket_without_a_key_file_is_pointed_out() {
    let lacks = |settings: &str| {
        let loaded = accepted(&text(&format!("s3: {{bucket: my-bucket}}\n{settings}")));
        (loaded.config.lacks_job_key(), loaded.warnings.len())
    };
    assert_eq!(lacks(""), (true, 0));
    assert_eq!(lacks("job_tokens: {}"), (true, 1));
    assert_eq!(lacks("job_tokens: off"), (false, 0));
    assert_eq!(lacks("signing_key_file: key"), (false, 0));
    assert_eq!(lacks("gha: {signing_key_file: key}"), (false, 0));
    assert!(!read("job_tokens: {}").lacks_job_key());
}

//! The section `gha`: what it means, and what is said about it.

use std::path::Path;
use std::time::Duration;

use chacha::config::GhaConfig;

use super::{DISK, PROVIDER, accepted, check_refused};

/// The section from line 6 on, with settings from line 7 on.
fn gha(settings: &str) -> String {
    let settings = settings.replace('\n', "\n  ");
    format!("{PROVIDER}{DISK}gha:\n  {settings}\n")
}

fn read(text: &str) -> GhaConfig {
    let loaded = accepted(text);
    assert_eq!(loaded.warnings, [], "{text}");
    loaded.config.gha
}

#[test]
fn everything_has_a_default() {
    for text in [format!("{PROVIDER}{DISK}"), gha("")] {
        let config = read(&text);
        assert_eq!(config, GhaConfig::default());
        assert_eq!(config.link_lifetime, Duration::from_secs(3600));
        assert_eq!(config.upload_timeout, Duration::from_secs(900));
        assert_eq!(config.max_uploads, 1024);
        assert_eq!(config.signing_key_file, None);
        assert_eq!((config.forward_unknown_to, config.advertise_url), (None, None));
    }
}

#[test]
fn every_key_is_read() {
    let settings = "signing_key_file: ./link.key
link_lifetime: 60
upload_timeout: 24h
max_uploads: 100000
forward_unknown_to: https://results-receiver.actions.githubusercontent.com/
advertise_url: https://cache-1.internal:8443
";
    let config = read(&(gha(settings) + "s3: {bucket: my-bucket}\n"));
    assert_eq!(config.signing_key_file.as_deref(), Some(Path::new("./link.key")));
    assert_eq!(config.link_lifetime, Duration::from_secs(60));
    assert_eq!(config.upload_timeout, Duration::from_secs(86_400));
    assert_eq!(config.max_uploads, 100_000);
    let shown = |url: Option<url::Url>| url.unwrap().to_string();
    assert_eq!(
        shown(config.forward_unknown_to),
        "https://results-receiver.actions.githubusercontent.com/"
    );
    assert_eq!(shown(config.advertise_url), "https://cache-1.internal:8443/");
}

#[test]
fn refused_values() {
    let check = |setting: &str, expected: &str| {
        check_refused(&gha(setting), &[&format!("c.yaml:7: gha.{expected}")]);
    };
    check(
        "signing_key_file: ~/key",
        "signing_key_file: \"~/key\" is taken as it stands",
    );
    check(
        "link_lifetime: 59s",
        "link_lifetime: \"59s\" is too short; write a duration from 1m to 24h",
    );
    check(
        "upload_timeout: 25h",
        "upload_timeout: \"25h\" is too long; write a duration from 1m to 24h",
    );
    check(
        "max_uploads: 0",
        "max_uploads: 0 is not accepted .. from 1 to 100000",
    );
    check("max_uploads: 100001", "max_uploads: 100001 is not accepted");
    check(
        "forward_unknown_to: https://evil.example",
        "forward_unknown_to: \"https://evil.example\" is not a service of GitHub .. results-receiver",
    );
    check(
        "forward_unknown_to: http://results.acme.ghe.com",
        "forward_unknown_to: .. is not encrypted; write https://",
    );
    check(
        "forward_unknown_to: https://results.acme.ghe.com/twirp",
        "forward_unknown_to: .. has a path; remove it",
    );
    check(
        "advertise_url: https://a.example/b",
        "advertise_url: .. has a path; remove it",
    );
    check(
        "advertise_url: http://10.0.0.7:8080",
        "advertise_url: .. `allow_insecure_http: true` at the top of the file",
    );
    check(
        "max_upload: 1",
        "max_upload: unknown key \"max_upload\"; did you mean \"max_uploads\"?",
    );
    check(
        "base_url: https://a.example",
        "base_url: unknown key \"base_url\"; it belongs to the top of the file",
    );
}

#[test]
fn the_switch_for_plain_http_stands_at_the_top() {
    let text = gha("advertise_url: http://10.0.0.7:8080\nsigning_key_file: ./link.key")
        + "s3: {bucket: my-bucket}\nallow_insecure_http: true\n";
    assert!(read(&text).advertise_url.is_some());
    let github = gha("forward_unknown_to: http://results.acme.ghe.com") + "allow_insecure_http: true\n";
    check_refused(
        &github,
        &["c.yaml:7: gha.forward_unknown_to: .. is not encrypted"],
    );
}

#[test]
fn warnings() {
    let check = |text: &str, line: usize, key: &str, part: &str| {
        let warnings = accepted(text).warnings;
        let [warning] = warnings.as_slice() else {
            panic!("{text}\n{warnings:#?}");
        };
        assert_eq!((warning.line, warning.key.as_str()), (Some(line), key));
        assert!(warning.message.contains(part), "{warning}");
    };
    check(
        &gha("advertise_url: https://cache-1.internal"),
        7,
        "gha.advertise_url",
        "without `s3`",
    );
    check(
        &(gha("advertise_url: https://cache-1.internal") + "s3: {bucket: my-bucket}\n"),
        6,
        "gha",
        "signing_key_file",
    );
    check(
        &format!("{PROVIDER}{DISK}base_url: https://a.example/cache/\n"),
        6,
        "base_url",
        "@actions/cache 4 and later",
    );
    let root = format!("{PROVIDER}{DISK}base_url: https://a.example/\n");
    assert_eq!(accepted(&root).warnings, []);
}

//! What is said about settings that are refused.

use super::super::{PROVIDER, accepted, check_refused, refused};
use super::{alone, check, check_warning, read, with_disk};

#[test]
fn a_prefix_has_one_slash_at_its_end() {
    let prefix = |text: &str| read(&alone(&format!("prefix: {text}"))).prefix;
    assert_eq!(prefix("''"), "");
    assert_eq!(prefix("/"), "");
    assert_eq!(prefix("ci"), "ci/");
    assert_eq!(prefix("/ci/cache//"), "ci/cache/");
    check(
        "prefix: a/../b",
        "prefix: \"a/../b\" contains the part \"..\" .. remove it",
    );
    check("prefix: a//b", "prefix: .. two slashes in a row");
    check(r#"prefix: "a\tb""#, "prefix: .. control characters");
    check("prefix: 5", "prefix: 5 is not a text; put it into quotes");
    check("prefix:", "prefix: has no value");
    let long = format!("prefix: {}", "a".repeat(256));
    check(&long, "prefix: .. at most 256 bytes");
}

#[test]
fn names() {
    for (bucket, expected) in [
        ("s3://my-bucket", ".. without s3://"),
        ("ab", "\"ab\" is too short .. at least 3 characters"),
        ("10.0.0.1", ".. is an IP address .. `endpoint_url`"),
        ("a..b", ".. two dots"),
    ] {
        let text = format!("{PROVIDER}s3: {{bucket: '{bucket}'}}\n");
        check_refused(&text, &[&format!("c.yaml:5: s3.bucket: {expected}")]);
    }
    check(
        "region: Frankfurt (EU)",
        "region: .. write one such as eu-central-1",
    );
    check(
        "region: eu-central-1a",
        "region: \"eu-central-1a\" is an availability zone; write its region, eu-central-1",
    );
    check("region: EU-West-1", "region: .. write eu-west-1");
    check("regoin: eu", "regoin: .. did you mean \"region\"?");
    let elsewhere = read(&alone("endpoint_url: https://s3.example.com\nregion: EU"));
    assert_eq!(elsewhere.region.as_deref(), Some("EU"));
}

#[test]
fn endpoints() {
    let url = |text: &str| read(&alone(text)).endpoint_url.unwrap().to_string();
    assert_eq!(
        url("endpoint_url: http://localhost:9000"),
        "http://localhost:9000/"
    );
    assert_eq!(
        url("endpoint_url: http://minio:9000\nallow_insecure_http: true"),
        "http://minio:9000/"
    );
    check(
        "endpoint_url: http://minio:9000",
        "endpoint_url: \"http://minio:9000\" is not encrypted .. `allow_insecure_http: true`",
    );
    check(
        "endpoint_url: https://s3.example.com/my-bucket",
        "endpoint_url: .. has a path .. `bucket` .. `prefix`",
    );
    check(
        "endpoint_url: https://s3.example.com?a=b",
        "endpoint_url: .. has a query",
    );
    check("endpoint_url: s3.example.com", "endpoint_url: .. is not a URL");
    for url in [
        "https://key:hunter2@s3.example.com",
        "key:hunter2@s3.example.com",
        "https://key:hunter2@s3.example.com/bucket",
    ] {
        let lines = refused(&alone(&format!("endpoint_url: {url}")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("c.yaml:7: s3.endpoint_url: "), "{lines:?}");
        assert!(!lines[0].contains("hunter2"), "{lines:?}");
    }
}

#[test]
fn storage() {
    check(
        "storage_class: GLACIER",
        "storage_class: \"GLACIER\" is an archive .. write GLACIER_IR or STANDARD_IA",
    );
    check("storage_class: 'A B'", "storage_class: .. is not a storage class");
    check_warning(
        &alone("storage_class: STANDARD-IA"),
        "s3.storage_class",
        "did you mean STANDARD_IA?",
    );
    let fast = alone("storage_class: FAST\nendpoint_url: https://ceph.example.com");
    check_warning(&fast, "s3.storage_class", "FAST is not a storage class of AWS");
    let fast = accepted(&fast).config.s3.unwrap();
    assert_eq!(fast.storage_class.as_deref(), Some("FAST"));

    check(
        "server_side_encryption: kms",
        "server_side_encryption: \"kms\" is not accepted; write AES256, aws:kms or aws:kms:dsse",
    );
    for settings in [
        "sse_kms_key_id: k",
        "sse_kms_key_id: k\nserver_side_encryption: AES256",
    ] {
        check(
            settings,
            "sse_kms_key_id: .. add `server_side_encryption: aws:kms`",
        );
    }
    check_refused(
        &alone("server_side_encryption: KMS\nsse_kms_key_id: k"),
        &["c.yaml:7: s3.server_side_encryption: "],
    );
    check(
        "sse_kms_key_id: a b\nserver_side_encryption: aws:kms",
        "sse_kms_key_id: .. its id, its alias or its ARN",
    );
    check(
        "checksums: always",
        "checksums: .. when_supported .. when_required",
    );
    check("checksums: false", "checksums: false is not accepted");
}

#[test]
fn files_of_credentials_come_together() {
    check(
        "access_key_id_file: /run/id",
        "access_key_id_file: is of no use alone; add `secret_access_key_file`",
    );
    check(
        "secret_access_key_file: /run/secret\nsession_token_file: /run/token",
        "secret_access_key_file: is of no use alone; add `access_key_id_file`",
    );
    check(
        "session_token_file: /run/token",
        "session_token_file: .. add `access_key_id_file` and `secret_access_key_file`",
    );
    check_refused(
        &alone("access_key_id_file: ~/id\nsecret_access_key_file: $HOME/secret"),
        &[
            "c.yaml:7: s3.access_key_id_file: .. write the whole path",
            "c.yaml:8: s3.secret_access_key_file: .. write the whole path",
        ],
    );
}

#[test]
fn credentials_do_not_stand_in_the_file_and_are_not_repeated() {
    let text = alone("access_key_id: AKIAHUNTER2\nsecret_access_key: hunter2\nsession_token: [hunter2]");
    check_refused(
        &text,
        &[
            "c.yaml:7: s3.access_key_id: .. `access_key_id_file` .. AWS_ACCESS_KEY_ID",
            "c.yaml:8: s3.secret_access_key: .. `secret_access_key_file` .. AWS_SECRET_ACCESS_KEY",
            "c.yaml:9: s3.session_token: .. `session_token_file` .. AWS_SESSION_TOKEN",
        ],
    );
    check_refused(
        &alone("access_key_id_file: /run/id\nsecret_access_key: hunter2"),
        &["c.yaml:8: s3.secret_access_key: "],
    );
    for settings in [
        "secret_access_kye: hunter2",
        "secret_access_key: hunter2\nsecret_access_key: hunter2",
        "secret_access_key:\n  hunter2: hunter2",
        "credentials: {secret_access_key: hunter2}",
    ] {
        for line in refused(&alone(settings)) {
            assert!(!line.to_lowercase().contains("hunter2"), "{line}");
        }
    }
}

#[test]
fn ranges() {
    for (settings, expected) in [
        ("connect_timeout: 99ms", ".. from 100ms to 1m"),
        ("connect_timeout: 61s", ".. from 100ms to 1m"),
        ("read_timeout: 0", ".. from 1s to 5m"),
        ("idle_timeout: 6m", ".. from 1s to 5m"),
        ("lookup_timeout: 99ms", ".. from 100ms to 1m"),
        ("write_timeout: 2h", ".. from 1s to 1h"),
        ("max_concurrency: 0", ".. from 1 to 1024"),
        ("max_concurrency: 1025", ".. from 1 to 1024"),
        ("parallel_parts: 65", ".. from 1 to 64"),
        (
            "part_size: 8MB",
            ".. a multiple of 1MiB from 5MiB to 1GiB, such as 8MiB",
        ),
        ("part_size: 1MiB", ".. such as 5MiB"),
        ("part_size: 2GiB", ".. such as 1024MiB"),
        ("part_size: 8EiB", ".. such as 1024MiB"),
        ("part_size: big", ".. is not a size"),
        ("staging_limit: 1KB", ".. at least 1MiB"),
        ("staging_dir: ~/tmp", ".. write the whole path"),
        ("denied_is_missing: 'no'", ".. write true or false"),
        ("force_path_style: 1", ".. write true or false"),
    ] {
        let (key, _) = settings.split_once(':').unwrap();
        check(settings, &format!("{key}: {expected}"));
    }
}

#[test]
fn writes() {
    check(
        "write: behind",
        "write: \"behind\" is not accepted; write through .. or back",
    );
    check(
        "write: back",
        "write: back needs a disk .. add `disk:` .. or write through",
    );
    check(
        "when_down: queue",
        "when_down: queue needs a place that is kept .. set `staging_dir`, or write refuse",
    );
    check(
        "when_down: fail",
        "when_down: \"fail\" is not accepted; write queue .. or refuse",
    );
    check(
        "redirect: false",
        "redirect: false is not accepted; write never, or large",
    );
    check_refused(
        &with_disk("queue_limit: 1MB\nwhen_down: refuse"),
        &["c.yaml:7: s3.queue_limit: only counts with `write: back` or `when_down: queue`"],
    );
    check_refused(
        &with_disk("queue_limit: 2GB\nwrite: back"),
        &["c.yaml:7: s3.queue_limit: \"2GB\" is more than disk.limit"],
    );
    check_refused(
        &with_disk("queue_limit: 0\nwrite: back"),
        &["c.yaml:7: s3.queue_limit: 0 is too small"],
    );
    // A disk with an error is there, although nothing can be said about its limit.
    check_refused(
        &format!("{}disk: {{dir: d}}\n", alone("write: back\nqueue_limit: 2GB")),
        &["c.yaml:9: disk.limit: the key is missing"],
    );
}

#[test]
fn all_errors_are_reported_at_once() {
    check_refused(
        &format!(
            "{PROVIDER}s3:
  bucket: s3://b
  prefix: ..
  region: EU Central
  endpoint_url: minio
  write: back
  part_size: 1
  colour: red
"
        ),
        &[
            "c.yaml:6: s3.bucket: ",
            "c.yaml:7: s3.prefix: ",
            "c.yaml:8: s3.region: ",
            "c.yaml:9: s3.endpoint_url: ",
            "c.yaml:10: s3.write: ",
            "c.yaml:11: s3.part_size: ",
            "c.yaml:12: s3.colour: unknown key",
        ],
    );
}

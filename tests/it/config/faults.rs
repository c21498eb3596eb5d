//! What is said about values and keys that are refused.

use super::{DISK, PROVIDER, check_refused};

/// One line of a provider, on line 5.
fn provider(line: &str) -> String {
    format!("{PROVIDER}    {line}\n{DISK}")
}

/// One setting at the top, on line 6.
fn top(text: &str) -> String {
    format!("{PROVIDER}{DISK}{text}\n")
}

/// A `disk` section on line 5.
fn disk(settings: &str) -> String {
    format!("{PROVIDER}disk:\n  {}\n", settings.replace('\n', "\n  "))
}

#[test]
fn an_empty_list_of_audiences_does_not_open_the_cache_to_everybody() {
    let text = format!("{}{DISK}", PROVIDER.replace("[x]", "[]"));
    check_refused(
        &text,
        &["c.yaml:3: oidc_providers[0].audiences: the list is empty"],
    );
}

#[test]
fn every_error_is_reported_at_once_with_its_line() {
    let text = "listen: ':8080'
base_url: http://cache.example.com
oidc_providers:
  - url: https://gitlab.com/
    cache_key_expr:
      - claims.a
    leeway: 1h
  - url: http://issuer.example
    cache_key_exprs:
      - good
      - bad
    allow_if: bad
disk:
  dir: /tmp/c
  limit: 50Gb
  dir: /tmp/d
limits:
  keep_alive: long
";
    check_refused(
        text,
        &[
            "c.yaml:1: listen: \":8080\" has no host; write 0.0.0.0:8080",
            "c.yaml:2: base_url: \"http://cache.example.com\" is not encrypted",
            "c.yaml:4: oidc_providers[0].url: \"https://gitlab.com/\" ends with a slash",
            "c.yaml:5: oidc_providers[0].cache_key_expr: unknown key \"cache_key_expr\"; did you mean \"cache_key_exprs\"?",
            "c.yaml:7: oidc_providers[0].leeway: \"1h\" is too long; write a duration from 0s to 5m",
            "c.yaml:8: oidc_providers[1].url: \"http://issuer.example\" is not encrypted .. allow_insecure_http: true",
            "c.yaml:11: oidc_providers[1].cache_key_exprs[1]: Namespace { index: 1 } is bad; write good",
            "c.yaml:12: oidc_providers[1].allow_if: Condition is bad; write good",
            "c.yaml:15: disk.limit: \"50Gb\" is ambiguous .. write 50GB (50 * 10^9 bytes) or 50GiB (50 * 2^30 bytes)",
            "c.yaml:16: disk.dir: the key stands on line 14 already",
            "c.yaml:18: limits.keep_alive: \"long\" is not a duration",
        ],
    );
}

#[test]
fn tiers() {
    check_refused(
        PROVIDER,
        &["c.yaml: disk: the key is missing; add `disk:` .. or `s3:` with the key `bucket`"],
    );
    check_refused(
        &top("s3:"),
        &["c.yaml:6: s3.bucket: the key is missing; add `bucket: my-bucket`"],
    );
    check_refused(
        &top("s3: b"),
        &["c.yaml:6: s3: \"b\" is not a section; write keys below it: bucket, prefix, .. staging_limit"],
    );
}

#[test]
fn disk_values() {
    let check = |settings, expected: &[&str]| check_refused(&disk(settings), expected);
    check(
        "dir: d",
        &["c.yaml:5: disk.limit: the key is missing; add `limit: 50GB`"],
    );
    check("limit: 1GB", &["c.yaml:5: disk.dir: the key is missing"]);
    check(
        "dir: d\nlimit: 0",
        &["c.yaml:7: disk.limit: 0 is too small; write at least 1MiB"],
    );
    check("dir: d\nlimit: -5", &["c.yaml:7: disk.limit: -5 is too small"]);
    check(
        "dir: d\nlimit: 1KB",
        &["c.yaml:7: disk.limit: \"1KB\" is too small"],
    );
    check("dir: d\nlimit: 1.5", &["c.yaml:7: disk.limit: 1.5 is not a size"]);
    check(
        "dir: d\nlimit: [1GB]",
        &["c.yaml:7: disk.limit: a list is not a size"],
    );
    check(
        "dir: d\nlimit: true",
        &["c.yaml:7: disk.limit: true is not a size"],
    );
    check("dir: d\nlimit:", &["c.yaml:7: disk.limit: has no value"]);
    check(
        "dir: d\nlimit: 99999999999GB",
        &["c.yaml:7: disk.limit: .. 8EiB (2^63 bytes)"],
    );
    check(
        "dir: d\nlimit: 99999999999999999999999",
        &["c.yaml:7: disk.limit: .. 8EiB"],
    );
}

#[test]
fn disk_options() {
    let check = |settings, expected: &[&str]| check_refused(&disk(settings), expected);
    check(
        "dir: 7\nlimit: 1GB",
        &["c.yaml:6: disk.dir: 7 is not a text; put it into quotes"],
    );
    check("dir: ''\nlimit: 1GB", &["c.yaml:6: disk.dir: \"\" is empty"]);
    check(
        "dir: ~/cache\nlimit: 1GB",
        &["c.yaml:6: disk.dir: \"~/cache\" is taken as it stands"],
    );
    check(
        "dir: d\nlimit: 1GB\ndurability: maybe",
        &["c.yaml:8: disk.durability: .. relaxed"],
    );
    check(
        "dir: d\nlimit: 1GB\nmemory: 0",
        &["c.yaml:8: disk.memory: 0 is too small"],
    );
    check(
        "dir: d\nlimit: 1GB\nopen_files: 0",
        &["c.yaml:8: disk.open_files: 0 .. from 1 to 1048576"],
    );
    check(
        "dir: d\nlimit: 1GB\nrevalidate_after: 0",
        &["c.yaml:8: disk.revalidate_after: 0 is too short; write a duration from 1s to 168h"],
    );
    check(
        "dir: d\nlmit: 1GB",
        &["c.yaml:7: disk.lmit: unknown key \"lmit\"; did you mean \"limit\"?"],
    );
    check(
        "dir: d\nlimit: 1GB\nkeep_alive: 5s",
        &["c.yaml:8: disk.keep_alive: unknown key \"keep_alive\"; it belongs to `limits`"],
    );
    check(
        "dir: d\nlimit: 1GB\ncolour: red",
        &[
            "c.yaml:8: disk.colour: .. known here: dir, limit, min_free, durability, memory, open_files, revalidate_after",
        ],
    );
}

#[test]
fn listeners() {
    let check = |text, expected: &[&str]| check_refused(&top(text), expected);
    check("listen: 8080", &["c.yaml:6: listen: 8080 is only a port"]);
    check("listen: []", &["c.yaml:6: listen: the list is empty"]);
    check(
        "listen: host.example:80",
        &["c.yaml:6: listen: .. only localhost is accepted"],
    );
    check(
        "listen:\n  - 127.0.0.1:1\n  - nothing",
        &["c.yaml:8: listen[1]: \"nothing\" is no address"],
    );
    check(
        "listen: ['0.0.0.0:81', '127.0.0.1:81']",
        &["c.yaml:6: listen[1]: 127.0.0.1:81 is taken by 0.0.0.0:81"],
    );
    check(
        "listen: 127.0.0.1:9080",
        &["c.yaml:6: listen: .. are the same address"],
    );
    check(
        "listen: 127.0.0.1:90\nops_listen: localhost:90",
        &["c.yaml:7: ops_listen: .. are the same address"],
    );
    check(
        "ops_listen: true",
        &["c.yaml:6: ops_listen: true is not one address"],
    );
    check(
        "ops_listen: [a]",
        &["c.yaml:6: ops_listen: a list is not one address"],
    );
    check(
        "base_url: https://a.example/?q",
        &["c.yaml:6: base_url: .. query"],
    );
    check("base_url: cache", &["c.yaml:6: base_url: \"cache\" is not a URL"]);
}

#[test]
fn provider_lists() {
    let check = |text: &str, expected: &[&str]| check_refused(&format!("{DISK}{text}"), expected);
    check(
        "",
        &["c.yaml: oidc_providers: the key is missing; add `oidc_providers:`"],
    );
    check(
        "oidc_providers: []",
        &["c.yaml:2: oidc_providers: the list is empty"],
    );
    check("oidc_providers:", &["c.yaml:2: oidc_providers: has no value"]);
    check(
        "oidc_providers:\n  url: https://a.example",
        &["c.yaml:2: oidc_providers: a section with keys is not a list; write each entry .. `- url: "],
    );
    check(
        "oidc_providers: [x]",
        &["c.yaml:2: oidc_providers[0]: \"x\" is not a section"],
    );
    check(
        "oidc_providers: [{}]",
        &[
            "c.yaml:2: oidc_providers[0].url: the key is missing",
            "c.yaml:2: oidc_providers[0].cache_key_exprs: the key is missing",
        ],
    );
    check(
        "oidc_providers: [{url: 'https://a.example', audiences: [x], scopes: bc}]",
        &["c.yaml:2: oidc_providers[0].scopes: \"bc\" is not accepted"],
    );
    check(
        "oidc_providers: [{url: 'https://a.example', audiences: [x], scopes: ac, cache_key_exprs: []}]",
        &["c.yaml:2: oidc_providers[0].cache_key_exprs: the list is empty"],
    );
    let twice = "\n  - url: https://a.example\n    cache_key_exprs: [a]".repeat(2);
    check(
        &format!("oidc_providers:{twice}"),
        &["c.yaml:5: oidc_providers[1].url: this issuer is configured already on line 3"],
    );
}

#[test]
fn provider_values() {
    let check = |line, expected: &[&str]| check_refused(&provider(line), expected);
    check("audience: [x]", &["c.yaml:5: .. did you mean \"audiences\"?"]);
    check(
        "algorithms: RS256",
        &["c.yaml:5: .. is not a list; write each entry .. `- RS256`"],
    );
    check(
        "algorithms: []",
        &["c.yaml:5: oidc_providers[0].algorithms: the list is empty"],
    );
    check(
        "algorithms: [HS256, none]",
        &["c.yaml:5: .. can also forge it", "c.yaml:5: .. can also forge it"],
    );
    check("algorithms: [rs256]", &["c.yaml:5: .. write RS256"]);
    check("leeway: 6m", &["c.yaml:5: .. too long"]);
    check("leeway: soon", &["c.yaml:5: .. is not a duration"]);
    check(
        "max_age: 0",
        &["c.yaml:5: .. 0 is too short; write a duration from 1s to 168h"],
    );
    check("jwks_file: []", &["c.yaml:5: .. a list is not a text"]);
    check("write_if: ' '", &["c.yaml:5: .. is empty"]);
    check("write_if: 5", &["c.yaml:5: .. put it into quotes"]);
    check(
        "allow_insecure_http: 'yes'",
        &["c.yaml:5: .. write true or false"],
    );
    check(
        "allow_if: bad",
        &["c.yaml:5: oidc_providers[0].allow_if: Condition is bad"],
    );
    check(
        "scopes: AC",
        &["c.yaml:5: oidc_providers[0].scopes: \"AC\" is not accepted; write ac"],
    );
    check("scopes: [ac]", &["c.yaml:5: .. a list is not accepted; write ac"]);
    check(
        "scope: ac",
        &["c.yaml:5: oidc_providers[0].scope: unknown key \"scope\"; did you mean \"scopes\"?"],
    );
}

#[test]
fn urls_and_expressions() {
    let check = |url: &str, exprs: &str, expected: &[&str]| {
        let entry = format!("url: '{url}'\n    audiences: [x]\n    cache_key_exprs: {exprs}");
        check_refused(&format!("{DISK}oidc_providers:\n  - {entry}\n"), expected);
    };
    let good = "https://a.example";
    check(
        "https://a.example/",
        "[a]",
        &["c.yaml:3: oidc_providers[0].url: .. remove the slash"],
    );
    check(
        "http://a.example",
        "[a]",
        &["c.yaml:3: .. `allow_insecure_http: true`"],
    );
    check(
        "https://me:password@a.example",
        "[a]",
        &["c.yaml:3: .. \"https://***@a.example\" contains a user name"],
    );
    check("a.example", "[a]", &["c.yaml:3: .. is not a URL"]);
    check(
        good,
        "claims.a",
        &["c.yaml:5: .. \"claims.a\" is not a list; write each entry .. `- 'join("],
    );
    check(good, "[]", &["c.yaml:5: .. the list is empty"]);
    check(
        good,
        "[5]",
        &["c.yaml:5: oidc_providers[0].cache_key_exprs[0]: 5 is not a text"],
    );
    check(
        good,
        &format!("[{}]", ["a"; 17].join(", ")),
        &["c.yaml:5: .. keep at most 16"],
    );
    check(
        good,
        "\n      - a\n      - bad",
        &["c.yaml:7: oidc_providers[0].cache_key_exprs[1]: Namespace { index: 1 } is bad"],
    );
}

#[test]
fn limits() {
    let check = |line, expected: &[&str]| check_refused(&top(&format!("limits:\n  {line}")), expected);
    check(
        "max_connections: 0",
        &["c.yaml:7: limits.max_connections: 0 is not accepted"],
    );
    check("max_connections: '5'", &["c.yaml:7: .. without quotes"]);
    check("max_entry_size: 0.1B", &["c.yaml:7: .. at least 1 byte"]);
    check("keep_alive: 2h", &["c.yaml:7: .. from 1s to 1h"]);
    check(
        "drain_timeout: -1",
        &["c.yaml:7: limits.drain_timeout: -1 is not a duration"],
    );
    check("<<: {}", &["c.yaml:7: .. merge keys are not supported"]);
    check_refused(&top("limits: 5"), &["c.yaml:6: limits: 5 is not a section"]);
}

//! What accepted files mean, and which warnings they get.

use std::time::Duration;

use chacha::config::{Algorithm, Durability, ListenAddr, TokenScopes, defaults};

use super::{DISK, PROVIDER, accepted};

fn top(text: &str) -> String {
    format!("{PROVIDER}{DISK}{text}\n")
}

#[test]
fn defaults_fill_what_is_absent() {
    let loaded = accepted(&top(""));
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.listen, defaults::listen());
    assert_eq!(config.ops_listen, Some(defaults::ops_listen()));
    assert!(config.base_url.is_none() && config.s3.is_none());
    let provider = &config.providers[0];
    assert_eq!(provider.algorithms, [Algorithm::RS256, Algorithm::ES256]);
    assert_eq!(provider.leeway, Duration::from_secs(30));
    let disk = config.disk.unwrap();
    assert_eq!((disk.durability, disk.memory), (Durability::Relaxed, 32 << 20));
    assert_eq!(config.limits.max_connections, 16_384);
}

#[test]
fn listeners() {
    let check = |text: &str, listen: &[&str], ops: Option<&str>| {
        let config = accepted(&top(text)).config;
        let shown: Vec<_> = config.listen.iter().map(ListenAddr::to_string).collect();
        assert_eq!(shown, listen, "{text}");
        assert_eq!(
            config.ops_listen.map(|ops| ops.to_string()).as_deref(),
            ops,
            "{text}"
        );
    };
    let ops = Some("127.0.0.1:9080");
    check("listen: 0.0.0.0:80", &["0.0.0.0:80"], ops);
    check(
        "listen: ['[::1]:80', 'unix:/run/c']",
        &["[::1]:80", "unix:/run/c"],
        ops,
    );
    check("listen: localhost:80", &["127.0.0.1:80"], ops);
    check("ops_listen: off", &["127.0.0.1:8080"], None);
    check("ops_listen: false", &["127.0.0.1:8080"], None);
    check("ops_listen: 'off'", &["127.0.0.1:8080"], None);
    check(
        "ops_listen: unix:/run/ops",
        &["127.0.0.1:8080"],
        Some("unix:/run/ops"),
    );
    check(
        "listen: 127.0.0.1:0\nops_listen: 127.0.0.1:0",
        &["127.0.0.1:0"],
        Some("127.0.0.1:0"),
    );
}

#[test]
fn the_command_line_may_replace_listen_but_not_make_a_clash() {
    let mut config = accepted(&top("")).config;
    let address = |text: &str| vec![text.parse::<ListenAddr>().unwrap()];
    assert!(config.override_listen(address("127.0.0.1:9080")).is_err());
    assert!(config.override_listen(Vec::new()).is_err());
    assert_eq!(config.listen, defaults::listen());
    config.override_listen(address("[::1]:1")).unwrap();
    assert_eq!(config.listen, address("[::1]:1"));
}

#[test]
fn sizes_and_durations() {
    let text = "limits: {max_entry_size: 4096, keep_alive: 90, body_idle_timeout: 1500ms, drain_timeout: 0}";
    let limits = accepted(&top(text)).config.limits;
    assert_eq!(limits.max_entry_size, Some(4096));
    assert_eq!(limits.keep_alive, Duration::from_secs(90));
    assert_eq!(limits.body_idle_timeout, Duration::from_millis(1500));
    assert_eq!(limits.drain_timeout, Duration::ZERO);

    let limit = |size: &str| {
        accepted(&format!("{PROVIDER}disk: {{dir: d, limit: {size}}}"))
            .config
            .disk
            .unwrap()
            .limit
    };
    assert_eq!(limit("8EiB"), 1 << 63);
    assert_eq!(limit("1048576"), 1 << 20);
    assert_eq!(limit("50gb"), 50_000_000_000);
}

#[test]
fn provider_options() {
    let text = "oidc_providers:
  - url: http://issuer.internal/
    allow_insecure_http: true
    allow_trailing_slash: true
    audiences: [x]
    algorithms: [EdDSA, PS384, EdDSA]
    cache_key_exprs: ['a']
    allow_if: true
    write_if: claims.x
    leeway: 0
    max_age: 24h
    jwks_file: keys.json
";
    let provider = accepted(&format!("{text}{DISK}")).config.providers.remove(0);
    assert_eq!(provider.url, "http://issuer.internal/");
    assert!(provider.allow_insecure_http);
    assert_eq!(provider.algorithms, [Algorithm::EdDSA, Algorithm::PS384]);
    assert_eq!(provider.allow_if.as_deref(), Some("true"));
    assert_eq!(provider.leeway, Duration::ZERO);
    assert_eq!(provider.max_age, Some(Duration::from_secs(86_400)));
}

#[test]
fn scopes_may_stand_alone_or_beside_expressions() {
    let entry = "oidc_providers: [{url: 'https://a.example', audiences: [x], scopes: ac}]\n";
    let alone = accepted(&format!("{entry}{DISK}")).config.providers.remove(0);
    assert_eq!(alone.scopes, Some(TokenScopes::Ac));
    assert_eq!(alone.cache_key_exprs, Vec::<String>::new());
    let both = accepted(&format!("{PROVIDER}    scopes: ac\n{DISK}"))
        .config
        .providers
        .remove(0);
    assert_eq!(both.scopes, Some(TokenScopes::Ac));
    assert_eq!(both.cache_key_exprs, ["claims.a"]);
    assert_eq!(accepted(&top("")).config.providers[0].scopes, None);
}

#[test]
fn warnings() {
    let check = |text: &str, expected: &[(usize, &str, &str)]| {
        let warnings = accepted(text).warnings;
        assert_eq!(warnings.len(), expected.len(), "{text}\n{warnings:#?}");
        for (warning, (line, key, part)) in warnings.iter().zip(expected) {
            assert_eq!((warning.line, warning.key.as_str()), (Some(*line), *key));
            assert!(warning.message.contains(part), "{warning}");
        }
    };
    check(&top("limits:"), &[]);
    check(
        &top("allow_insecure_http: true\nbase_url: http://cache.example"),
        &[],
    );
    check(&top("s3: {bucket: my-bucket}"), &[]);
    check(
        &format!("{PROVIDER}disk:\n  dir: d\n  limit: 1GB\n  revalidate_after: 5m\n"),
        &[(8, "disk.revalidate_after", "without `s3`")],
    );
    check(
        &format!("{PROVIDER}s3: {{bucket: my-bucket, staging_limit: 1GB}}\nlimits:\n  max_entry_size: 2GB\n"),
        &[(7, "limits.max_entry_size", "larger than s3.staging_limit")],
    );
    check(
        &top("limits:\n  max_entry_size: 2GB"),
        &[(7, "limits.max_entry_size", "larger than disk.limit")],
    );
    check(
        &format!("{DISK}oidc_providers:\n  - url: https://a.example\n    cache_key_exprs:\n      - odd"),
        &[
            (3, "oidc_providers[0]", "without `audiences`"),
            (
                5,
                "oidc_providers[0].cache_key_exprs[0]",
                "Namespace { index: 0 } is odd",
            ),
        ],
    );
    check(
        &format!("{PROVIDER}    write_if: odd\n{DISK}"),
        &[(5, "oidc_providers[0].write_if", "Condition is odd")],
    );
}

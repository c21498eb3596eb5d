//! The rules for tenants, and the expressions that say who a tenant is.

use std::time::Duration;

use chacha::config::{Share, TenantRule};

use super::{DISK, PROVIDER, accepted, check_refused};

fn file(rules: &str) -> String {
    format!("{PROVIDER}{DISK}tenants:\n{rules}\n")
}

#[test]
fn rules_keep_their_order_and_their_values() {
    let loaded = accepted(&file(
        "  - {match: '*', max_bytes: 20%, max_age: 30d}\n  - match: https://a.example#7*\n    \
         min_share: 0.5GB\n    weight: 3\n    max_entries: 7\n    max_entry_size: 1GB\n    max_uploads: 2\n    \
         write_rate: 10MB/s\n    requests_in_flight: 9",
    ));
    assert_eq!(loaded.warnings, []);
    let everybody = TenantRule {
        pattern: "*".into(),
        max_bytes: Some(Share::Hundredths(2000)),
        max_age: Some(Duration::from_secs(30 * 86_400)),
        ..TenantRule::default()
    };
    let some = TenantRule {
        pattern: "https://a.example#7*".into(),
        min_share: Some(Share::Bytes(500_000_000)),
        weight: Some(3),
        max_entries: Some(7),
        max_entry_size: Some(1_000_000_000),
        max_uploads: Some(2),
        write_rate: Some(10_000_000),
        requests_in_flight: Some(9),
        ..TenantRule::default()
    };
    assert_eq!(loaded.config.tenants, [everybody, some]);
}

#[test]
fn what_is_wrong_with_a_rule_is_told_with_the_remedy() {
    check_refused(
        &file(
            "  - {match: 'a?', weight: 0, min_share: 1.234%, max_bytes: lots, max_age: 0, write_rate: 0}\n  - {weight: 2}\n  - \
             {match: '*', wieght: 2}",
        ),
        &[
            "c.yaml:7: tenants[0].match .. '?'",
            "c.yaml:7: tenants[0].weight .. from 1 to 1000",
            "c.yaml:7: tenants[0].min_share .. two decimals",
            "c.yaml:7: tenants[0].max_bytes .. 5GB",
            "c.yaml:7: tenants[0].max_age .. 1s",
            "c.yaml:7: tenants[0].write_rate .. at least 1 byte",
            "c.yaml:8: tenants[1].match: the key is missing",
            "c.yaml:9: tenants[2].wieght .. weight",
        ],
    );
}

#[test]
fn shares_that_cannot_hold_are_refused() {
    let two = |first: &str, second: &str| {
        file(&format!(
            "  - {{match: 'https://a.example#1', min_share: {first}}}\n  - {{match: 'https://a.example#2', min_share: {second}}}"
        ))
    };
    accepted(&two("45%", "450MB"));
    check_refused(
        &two("45%", "460MB"),
        &["c.yaml:6: tenants .. 910000000 bytes .. 902500000"],
    );
    check_refused(
        &two("460MB", "45%"),
        &["c.yaml:6: tenants .. 910000000 bytes .. 902500000"],
    );
    // Of the small disk, where that is all there is.
    let staged = |share: &str| {
        format!(
            "{PROVIDER}s3: {{bucket: bucket, staging_dir: /tmp/s, staging_limit: 1GB}}\ntenants:\n  - {{match: '*', min_share: {share}}}\n"
        )
    };
    accepted(&staged("90%"));
    check_refused(&staged("91%"), &["c.yaml:6: tenants .. 910000000 bytes"]);
}

#[test]
fn a_time_of_no_use_that_a_bucket_cannot_hold_is_refused() {
    let rule = |time: &str| format!("tenants: [{{match: '*', expire_after_unused: {time}}}]\n");
    let place = "tenants[0].expire_after_unused";
    let loaded = accepted(&format!("{PROVIDER}{DISK}{}", rule("1s")));
    let time = loaded.config.tenants[0].expire_after_unused;
    assert_eq!(time, Some(Duration::from_secs(1)));
    accepted(&format!(
        "{PROVIDER}{DISK}s3: {{bucket: bucket}}\n{}",
        rule("48h")
    ));
    check_refused(
        &format!("{PROVIDER}{DISK}s3: {{bucket: bucket}}\n{}", rule("47h")),
        &[&format!("c.yaml:7: {place} .. at least 48h")],
    );
}

#[test]
fn a_pattern_that_leaves_the_issuer_open_gets_a_warning() {
    let warnings = |rule: &str| {
        let loaded = accepted(&file(&format!("  - {rule}")));
        loaded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    for closed in [
        "{match: '*', weight: 2}",
        "{match: 'https://a.example#*', weight: 2}",
    ] {
        assert_eq!(warnings(closed), [""; 0], "{closed}");
    }
    for open in [
        "{match: '*#7', weight: 2}",
        "{match: 'https://a.example*', weight: 2}",
    ] {
        assert!(warnings(open)[0].contains("which issuer"), "{open}");
    }
    assert!(warnings("{match: '*'}")[0].contains("changes nothing"));
}

#[test]
fn what_a_rule_can_hardly_mean_gets_a_warning() {
    let check = |rule: &str, expected: &str| {
        let warnings = accepted(&file(&format!("  - {rule}"))).warnings;
        let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        match expected {
            "" => assert_eq!(texts, [""; 0], "{rule}"),
            _ => assert!(
                texts.len() == 1 && texts[0].contains(expected),
                "{rule}: {texts:?}"
            ),
        }
    };
    check("{match: 'https://a.example#7', weight: 2}", "");
    check(
        "{match: 'https://b.example#7', weight: 2}",
        "none of `oidc_providers`",
    );
    check(
        "{match: 'https://b.example#*', weight: 2}",
        "none of `oidc_providers`",
    );
    check("{match: '*', max_entry_size: 1GB}", "");
    check("{match: '*', max_entry_size: 1PB}", "bounds nothing");
    check(
        "{match: 'https://a.example#7', min_share: 10%, max_bytes: 10%}",
        "",
    );
    check(
        "{match: 'https://a.example#7', min_share: 10%, max_bytes: 9%}",
        "for nobody",
    );
    // One reservation for many.
    check(
        "{match: 'https://a.example#*', min_share: 10%, max_bytes: 9%}",
        "",
    );
}

#[test]
fn an_issuer_that_names_no_project_gets_a_warning() {
    let warnings = |tenant: &str| {
        let text =
            format!("{PROVIDER}{tenant}{DISK}").replace("https://a.example", "https://accounts.google.com");
        let loaded = accepted(&text);
        loaded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert!(warnings("")[0].contains("add `tenant`"));
    assert_eq!(warnings("    tenant: claims.sub\n"), [""; 0]);
}

#[test]
fn expressions_of_a_provider_say_who_a_tenant_is() {
    let provider = |lines: &str| format!("{PROVIDER}{lines}{DISK}");
    let loaded = accepted(&provider(
        "    tenant: claims.a\n    group: claims.b\n    protect_if: true\n",
    ));
    let provider_config = &loaded.config.providers[0];
    assert_eq!(provider_config.tenant.as_deref(), Some("claims.a"));
    assert_eq!(provider_config.group.as_deref(), Some("claims.b"));
    assert_eq!(provider_config.protect_if.as_deref(), Some("true"));
    check_refused(
        &provider("    tenant: bad\n    group: bad\n    protect_if: bad\n"),
        &[
            "c.yaml:5: oidc_providers[0].tenant: Tenant is bad",
            "c.yaml:6: oidc_providers[0].group: Tenant is bad",
            "c.yaml:7: oidc_providers[0].protect_if: Condition is bad",
        ],
    );
}

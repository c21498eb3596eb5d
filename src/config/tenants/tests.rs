use super::share::share;
use super::*;

#[test]
fn shares_are_bytes_or_a_part_of_the_limit() {
    let check =
        |text, bytes: u64| assert_eq!(share(text).map(|share| share.bytes(10_000)), Ok(bytes), "{text}");
    check("5kB", 5000);
    check("5", 5);
    check("10%", 1000);
    check(" 12.5 % ", 1250);
    check("0.01%", 1);
    check("33.33%", 3333);
    check("100%", 10_000);
    assert_eq!(Share::Hundredths(10_000).bytes(u64::MAX), u64::MAX);
}

#[test]
fn what_is_no_share_is_refused_with_both_forms() {
    let check = |text, expected: &str| {
        let fault = share(text).expect_err(text);
        assert!(fault.contains(expected), "{text}: {fault}");
    };
    check("a tenth", "a percentage of the limit such as 10%");
    check("%", "10%");
    check("-1%", "10%");
    check("1.234%", "at most two decimals");
    check("0%", "more than 0%");
    check("0.00%", "more than 0%");
    check("100.01%", "at most 100%");
    check("99999999999999999999%", "at most 100%");
    check("0", "at least 1 byte");
}

#[test]
fn promises_that_the_disk_cannot_keep_are_refused() {
    let rule = |share| TenantRule {
        min_share: Some(share),
        ..TenantRule::default()
    };
    let limit = 100_000;
    assert_eq!(reservable(limit), 90_250);
    let fits = [
        rule(Share::Bytes(45_125)),
        TenantRule::default(),
        rule(Share::Bytes(45_125)),
    ];
    assert_eq!(shares_fault(&fits, limit), None);
    let over = [rule(Share::Bytes(45_126)), rule(Share::Bytes(45_125))];
    let fault = shares_fault(&over, limit).expect("too much");
    assert!(
        fault.contains("90251 bytes") && fault.contains("90250"),
        "{fault}"
    );
    assert!(shares_fault(&[rule(Share::Hundredths(9_100))], limit).is_some());
    assert!(
        shares_fault(
            &[rule(Share::Bytes(u64::MAX)), rule(Share::Bytes(u64::MAX))],
            limit
        )
        .is_some()
    );
}

#[test]
fn a_pattern_that_can_match_nobody_is_refused() {
    for good in [
        "*",
        "https://issuer.test#*",
        "https://issuer.test/a%20b#a%23%2A/b@c",
        "*#42",
    ] {
        assert_eq!(pattern::check(good).as_deref(), Ok(good));
    }
    let check = |text: &str, expected: &str| {
        let fault = pattern::check(text).expect_err(text);
        assert!(fault.contains(expected), "{text}: {fault}");
    };
    check("https://issuer.test#4?", "'?'");
    check("https://issuer.test#[42]", "'['");
    check("https://issuer.test #42", "' '");
    check("https://issuer.test#a%2fb", "capitals");
    check("https://issuer.test#a#b", "twice");
    check(&"a".repeat(5000), "longer than");
}

#[test]
fn a_pattern_that_leaves_the_issuer_open_is_told_from_one_for_everybody() {
    for open in [
        "*#42",
        "https://*#42",
        "#42",
        "https://issuer.test*",
        "https://issuer.test",
    ] {
        assert!(pattern::leaves_issuer_open(open), "{open}");
    }
    for closed in ["*", "**", "https://issuer.test#*", "https://issuer.test#42"] {
        assert!(!pattern::leaves_issuer_open(closed), "{closed}");
    }
}

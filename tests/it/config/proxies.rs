//! `trusted_proxies`.

use std::net::IpAddr;

use super::{DISK, PROVIDER, accepted, accepted_top, check_refused};

fn top(line: &str) -> String {
    format!("{PROVIDER}{DISK}{line}\n")
}

#[test]
fn networks_addresses_and_sockets_are_named() {
    let trusted = accepted_top("trusted_proxies: [10.0.0.0/8, '2001:db8::/32', 192.0.2.1, '::1', unix]")
        .trusted_proxies;
    let check = |address: &str, expected| {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(trusted.contains(Some(address)), expected, "{address}");
    };
    for (inside, outside) in [
        ("10.255.0.1", "11.0.0.1"),
        ("2001:db8:ffff::1", "2001:db9::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("::1", "::2"),
    ] {
        check(inside, true);
        check(outside, false);
    }
    assert!(trusted.contains(None));
    assert!(!accepted_top("trusted_proxies: []").trusted_proxies.contains(None));
}

#[test]
fn faults() {
    let check =
        |list: &str, expected: &[&str]| check_refused(&top(&format!("trusted_proxies: {list}")), expected);
    check(
        "10.0.0.0/8",
        &["c.yaml:6: trusted_proxies: \"10.0.0.0/8\" is not a list"],
    );
    check(
        "[proxy.example.com]",
        &["c.yaml:6: trusted_proxies[0]: \"proxy.example.com\" is not a network; write 10.0.0.0/8"],
    );
    check(
        "[10.0.0.0/8, 10.1.2.3/8, 10.0.0.0/33]",
        &[
            "c.yaml:6: trusted_proxies[1]: \"10.1.2.3/8\" has bits behind its prefix; write 10.0.0.0/8",
            "c.yaml:6: trusted_proxies[2]: \"10.0.0.0/33\" is not a network",
        ],
    );
    check("[7]", &["c.yaml:6: trusted_proxies[0]: 7 is not a text"]);
}

#[test]
fn who_trusts_everybody_is_warned() {
    for list in ["[0.0.0.0/0]", "['::/0']"] {
        let loaded = accepted(&top(&format!("trusted_proxies: {list}")));
        let [warning] = &loaded.warnings[..] else {
            panic!("{:?}", loaded.warnings);
        };
        assert!(
            warning.message.contains("name the networks of your proxies"),
            "{warning}"
        );
    }
}

//! No text makes the parsers panic, and every refusal says why.

use proptest::prelude::*;

use chacha::config::parse;

use super::Words;

/// Pieces of which broken files are made: our keys, and every sign that means something to YAML.
const PIECES: &[&str] = &[
    "disk",
    "dir",
    "limit",
    "oidc_providers",
    "url",
    "https://a.example",
    "cache_key_exprs",
    "s3",
    "prefix",
    "endpoint_url",
    "secret_access_key",
    "part_size",
    "gha",
    "forward_unknown_to",
    "scopes",
    "50GB",
    "0",
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "'",
    "\"",
    "|",
    ">",
    "#",
    "?",
    "!",
    "!!str",
    "---",
    "...",
    "%YAML 1.2",
    "é",
    "\u{feff}",
    "\\",
    "~",
    "\r",
    "<<",
    "\u{85}",
    "\u{2028}",
    "\u{0}",
];

fn check(text: &str) {
    if let Err(report) = parse("c.yaml", text, &Words) {
        assert!(!report.errors().is_empty());
        assert_eq!(report.to_string().lines().count(), report.errors().len());
    }
}

proptest! {
    #[test]
    fn pieces_of_yaml(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        check(&pieces.concat());
    }

    #[test]
    fn any_text(text in "\\PC{0,60}") {
        check(&text);
    }
}

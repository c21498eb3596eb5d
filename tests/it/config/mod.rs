//! The configuration as its author meets it: files that load, and what is said about those that do not.

mod faults;
mod files;
mod gha;
mod job_tokens;
mod proxies;
mod robust;
mod s3;
mod tenants;
mod values;

use chacha::config::{Config, ExpressionCheck, ExpressionKind, LoadedConfig, parse};

/// The smallest file that loads; lines of a case are put behind it.
const DISK: &str = "disk: {dir: /tmp/c, limit: 1GB}\n";
const PROVIDER: &str =
    "oidc_providers:\n  - url: https://a.example\n    audiences: [x]\n    cache_key_exprs: ['claims.a']\n";

/// Stands in for the expression language: `bad` is an error, `odd` a warning.
struct Words;

impl ExpressionCheck for Words {
    fn check(&self, kind: ExpressionKind, text: &str) -> Result<Vec<String>, String> {
        match text {
            "bad" => Err(format!("{kind:?} is bad; write good")),
            "odd" => Ok(vec![format!("{kind:?} is odd")]),
            _ => Ok(Vec::new()),
        }
    }
}

/// Loads a text that must be accepted.
fn accepted(text: &str) -> LoadedConfig {
    parse("c.yaml", text, &Words).unwrap_or_else(|report| panic!("{report}\n---\n{text}"))
}

/// What the smallest file means with `line` behind it.
pub(crate) fn accepted_top(line: &str) -> Config {
    accepted(&format!("{PROVIDER}{DISK}{line}\n")).config
}

/// The lines of the report on a text that must be refused.
fn refused(text: &str) -> Vec<String> {
    let report = parse("c.yaml", text, &Words).expect_err(text);
    assert!(!report.errors().is_empty());
    let lines: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), report.errors().len(), "one line for each problem");
    lines
}

/// Checks that a text is refused for exactly these reasons: each is the start of a line of the
/// report and, after each ` .. `, something that it must contain.
fn check_refused(text: &str, expected: &[&str]) {
    let lines = refused(text);
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        let mut parts = expected.split(" .. ");
        let start = parts.next().unwrap();
        assert!(line.starts_with(start), "{line}\nis not\n{expected}");
        assert!(
            parts.all(|part| line.contains(part)),
            "{line}\nis not\n{expected}"
        );
    }
}

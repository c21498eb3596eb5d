//! Files that cannot be read, and the documented file of the first Chacha.

use std::fs;
use std::path::Path;

use chacha::auth::{Expressions, Rules};
use chacha::config::{load, parse};

use super::{DISK, PROVIDER, Words, accepted, check_refused};

const ORIGINAL: &str = r#"base_url: http://127.0.0.1:8080
oidc_providers:
  - url: https://token.actions.githubusercontent.com
    cache_key_exprs:
      - '"github/" + claims.repository + "/" + claims.ref'
      - '"github/" + claims.repository'
disk:
  dir: /var/cache/chacha
  limit: 50GB
s3:
  bucket: my-bucket
"#;

#[test]
fn the_file_of_the_first_chacha_loads_unchanged() {
    let loaded = accepted(ORIGINAL);
    let config = loaded.config;
    assert_eq!(config.base_url.unwrap().as_str(), "http://127.0.0.1:8080/");
    assert_eq!(
        config.providers[0].cache_key_exprs[1],
        "\"github/\" + claims.repository"
    );
    let disk = config.disk.unwrap();
    assert_eq!(
        (disk.dir.as_path(), disk.limit),
        (Path::new("/var/cache/chacha"), 50_000_000_000)
    );
    assert_eq!(config.s3.unwrap().bucket, "my-bucket");
    let warnings: Vec<_> = loaded
        .warnings
        .iter()
        .map(|problem| (problem.line, problem.key.as_str()))
        .collect();
    assert_eq!(warnings, [(Some(3), "oidc_providers[0]")]);
}

/// The other tests of this folder stand in for the language; here the real one reads the expressions.
#[test]
fn documented_files_load_with_the_real_expressions() {
    let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.yaml"));
    let loaded = load(example, &Expressions).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings, []);
    assert!(loaded.config.providers.len() > 1);

    let loaded = parse("c.yaml", ORIGINAL, &Expressions).unwrap_or_else(|report| panic!("{report}"));
    let claims = serde_json::json!({"repository": "acme/app", "ref": "refs/heads/main"});
    let provider = &loaded.config.providers[0];
    let rules = Rules::compile(provider).unwrap();
    let granted = rules.apply(&provider.url.as_str().into(), claims.as_object().unwrap());
    let scope = granted.unwrap().scope;
    let paths: Vec<String> = scope.readable().map(|space| space.path().to_string()).collect();
    assert_eq!(paths, ["github/acme/app/refs/heads/main", "github/acme/app"]);
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let check = |path: &Path, line: &str, expected: &str| {
        let report = load(path, &Words).unwrap_err().to_string();
        let start = format!("{}{line}: ", path.display());
        assert!(report.starts_with(&start), "{report}");
        assert!(report.contains(expected), "{report}");
        assert_eq!(report.lines().count(), 1, "{report}");
    };
    check(&dir.path().join("absent.yaml"), "", "there is no such file");
    check(dir.path(), "", "is a directory; name the file in it");
    check(&file("empty.yaml", b""), "", "the file is empty");
    check(&file("latin.yaml", b"a: b\ndir: caf\xe9\n"), ":2", "not UTF-8");
    check(
        &file("large.yaml", &vec![b'#'; (1 << 20) + 1]),
        "",
        "larger than 1 MiB",
    );
}

#[test]
fn a_file_on_disk_loads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    fs::write(&path, format!("\u{feff}{ORIGINAL}").replace('\n', "\r\n")).unwrap();
    assert!(load(&path, &Words).is_ok());
}

#[test]
fn texts_without_a_configuration() {
    check_refused("", &["c.yaml: the file is empty"]);
    check_refused("# nothing\n\n", &["c.yaml: the file is empty"]);
    check_refused("---\n", &["c.yaml: the file is empty"]);
    check_refused("just words\n", &["c.yaml:1: \"just words\" is not a section"]);
    check_refused("- a\n- b\n", &["c.yaml:1: a list is not a section"]);
}

#[test]
fn syntax_errors_name_the_line_and_the_remedy() {
    check_refused("disk:\n\tdir: /tmp\n", &["c.yaml:2: .. use spaces"]);
    check_refused("disk:\n  dir: /tmp\n\tlimit: 1GB\n", &["c.yaml:3: .. use spaces"]);
    check_refused("disk:\n  dir: 'open\n", &["c.yaml .. not valid YAML"]);
    check_refused(
        "listen: [::1]:8080\n",
        &["c.yaml:1: not valid YAML .. \"[::1]:8080\""],
    );
    check_refused(
        "oidc_providers:\n  - cache_key_exprs:\n      - \"a/\" + claims.b\n",
        &["c.yaml:3: not valid YAML .. into single quotes"],
    );
    check_refused(
        "disk:\n  dir: @x\n",
        &["c.yaml:2: not valid YAML .. single quotes"],
    );
    check_refused(
        &format!("{DISK}---\n{PROVIDER}"),
        &["c.yaml:2: a second document begins here"],
    );
}

#[test]
fn flow_style_and_anchors_are_read() {
    let flow = "{disk: {dir: d, limit: 1GB}, oidc_providers: [{url: 'https://a.example', audiences: [x], cache_key_exprs: [a]}]}";
    assert_eq!(accepted(flow).config.providers.len(), 1);
    let anchors = "oidc_providers:
  - url: https://a.example
    audiences: &aud [x, y]
    cache_key_exprs: &exprs
      - claims.a
  - url: https://b.example
    audiences: *aud
    cache_key_exprs: *exprs
disk: {dir: d, limit: 1GB}
";
    let config = accepted(anchors).config;
    assert_eq!(config.providers[1].audiences, ["x", "y"]);
    assert_eq!(config.providers[1].cache_key_exprs, ["claims.a"]);
}

#[test]
fn what_comes_through_an_alias_is_reported_where_it_is_used() {
    let text = "oidc_providers:
  - url: https://a.example
    audiences: [x]
    cache_key_exprs: &exprs
      - bad
  - url: https://b.example
    audiences: [x]
    cache_key_exprs: *exprs
disk: {dir: d, limit: 1GB}
";
    check_refused(
        text,
        &[
            "c.yaml:5: oidc_providers[0].cache_key_exprs[0]: ",
            "c.yaml:8: oidc_providers[1].cache_key_exprs[0]: ",
        ],
    );
}

#[test]
fn a_key_that_is_no_text_has_a_line() {
    for (key, line) in [("~", 2), ("null", 2), ("0x10", 2), ("True", 2), ("7", 2)] {
        let lines = super::refused(&format!("{DISK}{key}: 1\n{PROVIDER}"));
        let start = format!("c.yaml:{line}: ");
        assert!(
            lines.iter().any(|found| found.starts_with(&start)),
            "{key}: {lines:#?}"
        );
    }
}

#[test]
fn a_tag_is_refused_with_its_key() {
    let tagged = |text: &str, expected| check_refused(&format!("{text}{PROVIDER}"), &[expected]);
    tagged(
        "disk:\n  dir: /tmp/c\n  limit: !foo 1GB\n",
        "c.yaml:3: disk.limit: \"!foo\" begins with an exclamation mark",
    );
    tagged("disk: !foo {dir: x}\n", "c.yaml:1: disk: \"!foo\" begins");
    tagged(
        "listen:\n  - a\n  - !foo b\n",
        "c.yaml:3: listen[1]: \"!foo\" begins",
    );
    tagged("disk:\n  !foo dir: x\n", "c.yaml:2: disk: \"!foo\" begins");
}

/// The name of the file is told in logs and on terminals.
#[test]
fn the_name_of_a_file_breaks_no_line() {
    for text in ["a: [", "", "disk: 5\n", "disk: {dir: x, limit: 1GB, dir: y}\n"] {
        let report = parse("a\nb\u{1b}[31m.yaml", text, &Words).unwrap_err();
        for line in report.to_string().lines() {
            assert!(line.starts_with("a\\nb\\u{1b}[31m.yaml"), "{line:?}");
        }
    }
    let report = load(Path::new("/absent/a\nb\u{1b}.yaml"), &Words).unwrap_err();
    assert!(
        report.to_string().starts_with("/absent/a\\nb\\u{1b}.yaml: "),
        "{report}"
    );
    let loaded = parse("a\nb.yaml", &format!("{DISK}{PROVIDER}"), &Words).unwrap();
    assert_eq!(loaded.places.error("disk", "x".into()).file, "a\\nb.yaml");
}

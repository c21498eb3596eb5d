//! KeyLines of keys, duplicates, and files that are refused.

use super::*;

fn path(text: &str) -> KeyPath {
    KeyPath::raw(text)
}

#[test]
fn lines_of_keys_and_entries() {
    let text = "a: 1\nb:\n  c:\n    - x\n    -\n      d: y\n  e: {f: 1,\n    g: 2}\nh: |\n  i\n  j\nk: 1\n";
    let located = locate(text).unwrap();
    let check = |key, line| assert_eq!(located.lines.find(&path(key)), Some(line), "{key}");
    check("", 1);
    check("a", 1);
    check("b.c", 3);
    check("b.c[0]", 4);
    check("b.c[1].d", 6);
    check("b.e.f", 7);
    check("b.e.g", 8);
    check("h", 9);
    check("k", 12);
    check("b.absent", 2);
    check("b.c[0].below.a.value", 4);
}

#[test]
fn what_comes_through_an_alias_has_its_line() {
    let located = locate("a: &x\n  b: 1\nc: *x\n").unwrap();
    assert_eq!(located.lines.find(&path("a.b")), Some(2));
    assert_eq!(located.lines.find(&path("c.b")), Some(3));
}

#[test]
fn duplicates_name_both_lines_and_only_the_first_has_its_keys_noted() {
    let located = locate("a:\n  b: 1\n  b: 2\na:\n  b: 3\n  c: 4\n").unwrap();
    let duplicate = |key, line, first| DuplicateKey {
        path: path(key),
        line,
        first,
    };
    assert_eq!(located.duplicates, [duplicate("a.b", 3, 2), duplicate("a", 4, 1)]);
    assert_eq!(located.lines.find(&path("a.b")), Some(2));
}

#[test]
fn refused_files() {
    let check = |text: &str, line, expected: &str| {
        let error = locate(text).expect_err(text);
        assert!(error.message.contains(expected), "{}", error.message);
        assert_eq!(error.line, line, "{}", error.message);
    };
    check("a: 1\n---\nb: 2\n", 2, "second document");
    check("a: !secret x\n", 1, "\"!secret\" begins with an exclamation mark");
    check("a:\n  ? [1]\n  : 2\n", 2, "not a plain name");
    check("a: &x 1\n*x : 2\n", 2, "not a plain name");
    check("a: &x [1, *x]\n", 1, "inside of what it stands for");
    check("a: *x\n", 1, "not valid YAML");
    check(&format!("{}: 1\n", "k".repeat(200)), 1, "longer than 128 bytes");
    check(&"[".repeat(100_000), 1, "nested deeper than");
    check(&"[".repeat(20), 1, "nested deeper than 16");
    check(&"- ".repeat(100_000), 1, "nested deeper than 16");
    check(&"- 1\n".repeat(30_000), 20_000, "more than 20000 values");
}

#[test]
fn aliases_that_multiply_are_stopped() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
    }
    let error = locate(&text).unwrap_err();
    assert!(
        error.message.contains("more than 20000 values"),
        "{}",
        error.message
    );
    assert!(error.line <= 5, "{}", error.line);
}

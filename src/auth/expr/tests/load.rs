//! What is said at load: warnings, and expressions that can never have a result.

use super::super::{Expression, Kind};
use super::{check, check_refused};

#[track_caller]
fn check_warning(text: &str, expected: Option<&str>) {
    let warnings = Expression::compile(text).unwrap().warnings();
    let found = match expected {
        Some(part) => warnings.iter().any(|warning| warning.contains(part)),
        None => warnings.is_empty(),
    };
    assert!(found, "{text}: {warnings:?}");
}

#[test]
fn warnings_for_ambiguous_texts() {
    check_warning(
        r#""github/" + claims.repository + "/" + claims.ref"#,
        Some(r#"join("github", claims.repository, claims.ref) keeps them apart"#),
    );
    check_warning(r#"lower(claims.a) + claims.b"#, Some("join(part, ...)"));
    check_warning(r#""refs/heads/" + claims.base_ref"#, None);
    check_warning(r#"sha256(claims.a) + "/" + claims.b"#, None);
    check_warning(r#"join("a", claims.a, claims.b)"#, None);
    check_warning(r#""shared""#, Some("no claim is used"));
    check_warning(r#"matches(claims.a, "main")"#, Some("write ^(...)$"));
    check_warning(r#"matches(claims.a, "^main$")"#, None);
}

/// Each alternative and each line counts, not the first and the last character.
#[test]
fn a_pattern_with_one_loose_alternative_is_not_anchored() {
    for pattern in [
        "^refs/heads/main|refs/heads/rel$",
        "^main$|x$",
        "^main$|^x",
        r"^main\\$",
        "(?m)^main$",
        "(^main$)?",
        "^(a|b$)",
        "^*main$",
        "x^main$",
    ] {
        check_warning(
            &format!(r#"matches(claims.a, "{pattern}")"#),
            Some("write ^(...)$"),
        );
    }
    for pattern in [
        "^main$|^x$",
        "(^main$|^x$)",
        "^(main|x)$",
        r"\\Amain\\z",
        "(?i)^main$",
        "(?:^)main(?:$)",
        "^$",
    ] {
        check_warning(&format!(r#"matches(claims.a, "{pattern}")"#), None);
    }
}

/// What no token could ever make succeed is said at load, where its author is.
#[test]
fn a_call_that_can_never_succeed_is_refused_at_load() {
    for (text, expected) in [
        (
            r#"split(claims.a, "", 0)"#,
            "column 17: the separator of split() must not be empty",
        ),
        (
            r#"split(claims.a, "/", "0")"#,
            "column 22: split() needs a number here, but this is text; write it without quotes",
        ),
        (
            r#"split(claims.a, "/", lower("0"))"#,
            "column 22: split() needs a number here, but this is text",
        ),
        (
            r#"replace(claims.a, "", "x")"#,
            "column 19: what replace() looks for must not be empty",
        ),
        (
            "join(5, claims.a)",
            "column 6: join() needs text here, but this is a number; string(x) makes text of it",
        ),
        (
            r#"join("", claims.a)"#,
            "column 6: a part of join() must not be empty; leave it out",
        ),
        (
            "lower(claims.a == claims.b)",
            "column 7: lower() needs text here, but this is a boolean; string(x)",
        ),
        ("matches(5, \"x\")", "column 9: matches() needs text here"),
    ] {
        check_refused(text, expected);
    }
    check("string(5) + string(true)", "5true");
}

#[test]
fn a_result_that_no_token_can_change_is_checked_at_load() {
    let refused = |text: &str, kind: Kind| {
        let expression = Expression::compile(text).unwrap();
        expression.of_kind(kind).unwrap_err().to_string()
    };
    let long = format!("\"{}\"", "x".repeat(1025));
    for text in [r#""""#, r#""" + """#, r#"trim(" ")"#, r#"nonempty("")"#, &long] {
        let error = refused(text, Kind::Text);
        assert!(
            error.starts_with("column 1: no token gets a result: "),
            "{text}: {error}"
        );
        assert!(
            error.ends_with("a namespace is a text of 1 to 1024 bytes"),
            "{text}: {error}"
        );
    }
    let error = refused(r#"nonempty("") == "a""#, Kind::Boolean);
    assert!(error.starts_with("column 1: no token gets a result: "), "{error}");
    assert!(
        Expression::compile(r#""shared""#)
            .unwrap()
            .of_kind(Kind::Text)
            .is_ok()
    );
}

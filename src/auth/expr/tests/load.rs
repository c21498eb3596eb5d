//! What is said at load: warnings, and expressions that can never have a result.

use super::super::{Expression, ValueKind};
use super::{check, check_refused};

#[test]
fn load_errors_have_columns() {
    check_refused("", "column 1: the expression is empty");
    check_refused(
        &" ".repeat(4097),
        "column 1: the expression has 4097 bytes; 4096 are allowed",
    );
    check_refused(
        "true && lower()",
        "column 9: write lower(text): it takes 1 argument, not 0",
    );
    check_refused(
        "claims.a == lower(1, 2)",
        "column 13: write lower(text): it takes 1 argument, not 2",
    );
    check_refused(
        "join()",
        "column 1: write join(part, ...): it takes at least 1 argument, not 0",
    );
    check_refused("split(claims.a)", "it takes 3 arguments, not 1");
    check_refused("claim(claims.a)", "column 7: claim() takes names in quotes only");
    check_refused(
        r#"claim("a", "")"#,
        "column 1: the name of a claim must not be empty",
    );
    check_refused(
        r#""a" + 1"#,
        "column 7: `+` needs text, but this is a number; string(x)",
    );
    let chain = ["true"; 80].join(" == ");
    check_refused(&chain, "nested more than 64 levels deep");
}

#[test]
fn unknown_names_get_a_proposal() {
    check_refused(
        r#"hasPrefix(claims.a, "x")"#,
        "column 1: there is no function `hasPrefix`; write startsWith(text, prefix)",
    );
    check_refused("startswith(claims.a)", "write startsWith(text, prefix)");
    check_refused("frobnicate(claims.a)", "docs/expressions.md lists all");
    check_refused("claims.a(1)", "`claims.a` is a claim, not a function");
    check_refused("lower == claims.a", "`lower` is a function: write lower(text)");
    check_refused("repository", "write claims.repository");
    check_refused("claim.repository", "write claims.repository");
    check_refused("claims", "write claims.<name>");
    check_refused("claims.a.", "write claim(\"a\")");
}

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
    let refused = |text: &str, kind: ValueKind| {
        let expression = Expression::compile(text).unwrap();
        expression.of_kind(kind).unwrap_err().to_string()
    };
    let long = format!("\"{}\"", "x".repeat(1025));
    for text in [r#""""#, r#""" + """#, r#"trim(" ")"#, r#"nonempty("")"#, &long] {
        let error = refused(text, ValueKind::Text);
        assert!(
            error.starts_with("column 1: no token gets a result: "),
            "{text}: {error}"
        );
        assert!(
            error.ends_with("a namespace is a text of 1 to 1024 bytes"),
            "{text}: {error}"
        );
    }
    let error = refused(r#"nonempty("") == "a""#, ValueKind::Boolean);
    assert!(error.starts_with("column 1: no token gets a result: "), "{error}");
    assert!(
        Expression::compile(r#""shared""#)
            .unwrap()
            .of_kind(ValueKind::Text)
            .is_ok()
    );
}

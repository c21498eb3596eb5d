//! What is said at load.

use super::super::Expression;

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

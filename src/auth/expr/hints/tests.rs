//! One line per form of Expr: the text, the column, what to write.

mod pasted;

use super::super::token::scan;
use super::refuse_foreign;

#[track_caller]
fn check(text: &str, column: usize, replacement: &str) {
    let error = refuse_foreign(&scan(text).unwrap()).unwrap_err();
    let wanted = format!("write {replacement}");
    assert!(error.message().contains(&wanted), "{text}: {error}");
    assert_eq!(error.column(), column, "{text}: {error}");
}

#[track_caller]
fn check_clean(text: &str) {
    assert_eq!(refuse_foreign(&scan(text).unwrap()), Ok(()), "{text}");
}

#[test]
fn conditional() {
    check(
        "claims.a ? claims.b : claims.c",
        10,
        "if(claims.a, claims.b, claims.c)",
    );
    check(
        r#"claims.a == "x" ? "y" : "z" + claims.b"#,
        17,
        r#"if(claims.a == "x", "y", "z" + claims.b)"#,
    );
    check(r#"lower(claims.a ? "b" : "c")"#, 16, r#"if(claims.a, "b", "c")"#);
    check("a ? b ? c : d : e", 3, "if(a, b ? c : d, e)");
    check("a ?: b", 3, "default(a, b)");
    check("a ? b", 3, "if(condition, then, else)");
}

#[test]
fn missing_values() {
    check(r#"claims.name ?? "x""#, 13, r#"default("name", "x")"#);
    check(r#""a/" + claims.a.b ?? 'x'"#, 19, r#"default("a.b", "x")"#);
    check(
        r#"lower(claims.a) ?? "x""#,
        17,
        r#"default(lower(claims.a), "x")"#,
    );
    check("claims.a?.b", 9, r#"claims.a.b, or default("a.b", "")"#);
    let error = refuse_foreign(&scan("claims.a == nil").unwrap()).unwrap_err();
    assert_eq!(error.column(), 13);
}

#[test]
fn brackets() {
    check(r#"claims["a/b"]"#, 7, r#"claim("a/b")"#);
    check("claims['a/b'] + claims.c", 7, r#"claim("a/b")"#);
    check(r#"claims.a["b.c"]["d"].e"#, 9, r#"claim("a", "b.c", "d", "e")"#);
    for text in ["claims.a[0]", "claims.a[0:3]", "[1, 2]", "claims.a[", "["] {
        let error = refuse_foreign(&scan(text).unwrap()).unwrap_err();
        assert!(error.message().starts_with("`[...]` is not known"), "{error}");
    }
}

#[test]
fn words_as_operators() {
    check(
        r#"claims.ref startsWith "refs/""#,
        12,
        r#"startsWith(claims.ref, "refs/")"#,
    );
    check("claims.ref endsWith 'x'", 12, r#"endsWith(claims.ref, "x")"#);
    check(
        r#"lower(claims.a, 1) contains ("x")"#,
        20,
        r#"contains(lower(claims.a, 1), ("x"))"#,
    );
    check(
        r#"claims.a matches "^x$" && claims.b"#,
        10,
        r#"matches(claims.a, "^x$")"#,
    );
    check(r#"claims.a not contains "x""#, 10, r#"!contains(claims.a, "x")"#);
    check("not claims.a", 1, "!claims.a");
    check("true && not (claims.a)", 9, "!(claims.a)");
    check("not(claims.a || claims.b)", 1, "!(claims.a || claims.b)");
    check("claims.a and claims.b", 10, "claims.a && claims.b");
    check(
        r#"claims.a == "x" or claims.b == "y" or claims.c"#,
        17,
        r#"claims.a == "x" || claims.b == "y""#,
    );
}

#[test]
fn membership() {
    check(
        r#"claims.a in ["x", 'y']"#,
        10,
        r#"(claims.a == "x" || claims.a == "y")"#,
    );
    check(
        r#"claims.a not in ["x", "y"]"#,
        10,
        r#"(claims.a != "x" && claims.a != "y")"#,
    );
    check(r#"claims.a in ["x"] && true"#, 10, r#"claims.a == "x""#);
    check("claims.a in []", 10, "false");
    check("claims.a not in []", 10, "true");
}

#[test]
fn pipes() {
    check("claims.a | lower()", 10, "lower(claims.a)");
    check(
        r#"claims.a | trimPrefix("refs/") | lower()"#,
        10,
        r#"trimPrefix(claims.a, "refs/")"#,
    );
    check("claims.a | lower", 10, "the call itself");
}

#[test]
fn quotes() {
    check("'x'", 1, r#""x""#);
    check("`a\\b\"c`", 1, r#""a\\b\"c""#);
    check(r"claims.a == 'it\'s'", 13, r#""it's""#);
}

#[test]
fn names_with_signs() {
    check("claims.repo-name", 12, r#"claim("repo-name")"#);
    check(
        "claims.oidc.circleci.com/project-id",
        25,
        r#"claim("oidc.circleci.com/project-id")"#,
    );
    check("claims.a:b", 9, r#"claim("a:b")"#);
}

#[test]
fn statements_and_closures() {
    for text in [
        "let x = claims.a; x",
        "claims.a & claims.b",
        "claims.a {.b}",
        "# > 1",
    ] {
        assert!(refuse_foreign(&scan(text).unwrap()).is_err(), "{text}");
    }
}

#[test]
fn own_forms_are_clean() {
    check_clean(r#""github/" + claims.repository + "/" + claims.ref"#);
    check_clean(r#"contains(claims.a, "x") && matches(claims.b, "^y$")"#);
    check_clean(r#"claims.not == "and" || claims.in == "x startsWith y ? [a] : 'b' // `c` | d""#);
    check_clean(r#"startsWith(claims.ref, "refs/") && !endsWith(claims.ref, "x")"#);
}

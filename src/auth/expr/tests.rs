//! The language as a whole: results, errors with their column, warnings.

mod load;

use serde_json::json;

use super::*;

fn claims() -> Map<String, Json> {
    let json = json!({
        "repository": "acme/app", "ref": "refs/heads/müller/ß", "empty": "", "blank": " x ",
        "id": 42, "negative": -1, "yes": true, "no": false, "null": null, "float": 1.5,
        "list": ["a"], "a": { "b": "nested", "n": 7 }, "a.b": "flat", "huge": "x".repeat(40_000),
        "oidc.circleci.com/project-id": "p", "kubernetes.io": { "namespace": "ci" },
    });
    json.as_object().unwrap().clone()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(
        Expression::compile(text).unwrap().text(&claims()).as_deref(),
        Ok(expected),
        "{text}"
    );
}

#[track_caller]
fn check_condition(text: &str, expected: bool) {
    assert_eq!(
        Expression::compile(text).unwrap().condition(&claims()),
        Ok(expected),
        "{text}"
    );
}

#[track_caller]
fn check_missing(text: &str, expected: &str) {
    let error = Expression::compile(text).unwrap().text(&claims()).unwrap_err();
    assert!(error.is_missing(), "{text}: {error}");
    assert_eq!(error.to_string(), format!("the claim {expected}"), "{text}");
}

#[track_caller]
fn check_failed(text: &str, expected: &str) {
    let error = Expression::compile(text).unwrap().text(&claims()).unwrap_err();
    assert_eq!(error.to_string(), expected, "{text}");
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let error = Expression::compile(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{text}: {error}");
}

#[test]
fn texts_and_claims() {
    check("claims.repository", "acme/app");
    check(r#""github/" + claims.repository + "/x""#, "github/acme/app/x");
    check(r#"("a" + "b") + ("\"" + "\\")"#, r#"ab"\"#);
    check("claims.a.b", "nested");
    check(r#"claim("a.b")"#, "flat");
    check(r#"claim("a", "b")"#, "nested");
    check(r#"claim("oidc.circleci.com/project-id")"#, "p");
    check(r#"claim("kubernetes.io", "namespace")"#, "ci");
    check_missing("claims.none", "`none` is missing");
    check_missing("claims.null", "`null` is null");
    check_missing(
        r#"claim("kubernetes.io", "pod")"#,
        "`kubernetes.io.pod` is missing",
    );
    check_missing(
        "claims.float",
        "`float` is not a whole number of 64 bits, which expressions cannot use",
    );
}

#[test]
fn comparisons_need_one_type() {
    check_condition(r#"claims.repository == "acme/app" && claims.id == 42"#, true);
    check_condition(
        "claims.id > 41 && claims.id >= 42 && claims.id < 43 && claims.id <= 42",
        true,
    );
    check_condition(r#"claims.repository != "acme/app""#, false);
    check_condition("claims.negative == -1", true);
    check_condition("claims.yes == !claims.no", true);
    check_condition(r#""a" < "b""#, true);
    check_failed(
        "claims.id == claims.repository",
        "a number cannot be compared with text",
    );
    check_failed(
        "claims.repository != true",
        "text cannot be compared with a boolean",
    );
    check_refused("1 == \"1\"", "column 1: a number is compared with text");
}

#[test]
fn logic_stops_where_it_is_decided() {
    check_condition("claims.yes || claims.none", true);
    check_condition("claims.no && claims.none", false);
    check_condition("!claims.no && (claims.no || claims.yes)", true);
    check_condition("claims.no || claims.yes && claims.no", false);
    check_failed("claims.no || claims.none", "the claim `none` is missing");
    check_failed("claims.repository && true", "&& needs a boolean, but got text");
    check_refused(r#"!"x""#, "`!` needs a boolean, but this is text");
}

#[test]
fn conditions_and_defaults_are_lazy() {
    check(r#"if(claims.yes, "a", claims.none)"#, "a");
    check(r#"if(claims.no, claims.none, "b")"#, "b");
    check_failed(
        r#"if(claims.id, "a", "b")"#,
        "if() needs a boolean, but got a number",
    );
    check_refused(
        r#"if("x", "a", "b")"#,
        "column 4: if() needs a boolean, but this is text",
    );
    check(r#"default("repository", claims.none)"#, "acme/app");
    check(r#"default("none", "x")"#, "x");
    check(r#"default("claims.a.c", "x")"#, "x");
    check(r#"default("null", "x")"#, "x");
    check(r#"default(claim("a/b"), "x")"#, "x");
    check(r#"default(nonempty(claims.empty), "x")"#, "x");
    check(r#"default("a.b", "x")"#, "nested");
    check_failed(r#"default("empty", "x")"#, "the result is empty");
    check_missing(
        r#"default("list", "x")"#,
        "`list` is a list, which expressions cannot use",
    );
    check_refused(
        r#"default("a/b", "x")"#,
        "column 9: `a/b` has to be written default(claim(\"...\"), ...)",
    );
}

#[test]
fn join_keeps_parts_apart() {
    check(r#"join("a", "b")"#, "a/b");
    check(r#"join("a/b", "c%2F")"#, "a%2Fb/c%252F");
    check("join(claims.ref)", "refs%2Fheads%2Fmüller%2Fß");
    check_missing(r#"join("a", claims.empty)"#, "`empty` is empty");
    check_missing(
        r#"join(claims.repository, "a" + claims.none)"#,
        "`none` is missing",
    );
    check_failed(
        "join(\"a\", claims.id)",
        "join(): argument 2 has to be text, but is a number; string(x) makes text of it",
    );
}

#[test]
fn text_functions() {
    check(r#"lower("ÄB") + upper("äß")"#, "äbÄSS");
    check("trim(claims.blank)", "x");
    check(r#"trimPrefix(claims.ref, "refs/heads/")"#, "müller/ß");
    check(r#"trimPrefix("aab", "a") + trimPrefix("b", "a")"#, "abb");
    check(r#"trimSuffix("a.git", ".git") + trimSuffix("a", "b")"#, "aa");
    check(r#"replace(claims.ref, "ü", "ue")"#, "refs/heads/mueller/ß");
    check_failed(
        r#"replace("a", claims.empty, "b")"#,
        "replace(): argument 2 must not be empty",
    );
    check(
        r#"string(claims.id) + string(-1) + string(true) + string("x")"#,
        "42-1truex",
    );
    check(
        r#"sha256("abc")"#,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    check("nonempty(claims.ref)", "refs/heads/müller/ß");
    check_missing("nonempty(claims.empty)", "`empty` is empty");
    check_missing(r#"nonempty("")"#, "`nonempty()` is empty");
}

#[test]
fn tests_on_texts() {
    check_condition(r#"startsWith(claims.ref, "refs/heads/m")"#, true);
    check_condition(r#"endsWith(claims.ref, "ß")"#, true);
    check_condition(r#"contains(claims.ref, "heads")"#, true);
    check_condition(r#"contains(claims.ref, "tags")"#, false);
    check_condition(r#"matches(claims.ref, "^refs/heads/\\w+/.$")"#, true);
    check_condition(r#"matches(claims.ref, "^heads")"#, false);
    check_failed(
        "matches(claims.id, \"x\")",
        "matches() needs text, but got a number",
    );
    check_refused(
        "matches(claims.ref, claims.id)",
        "column 21: the pattern of matches() has to be a text",
    );
    check_refused(
        r#"matches(claims.ref, "(")"#,
        "column 21: bad pattern: unclosed group",
    );
    check_refused(
        r#"matches(claims.ref, "(\\w{99}){99}")"#,
        "column 21: bad pattern: Compiled regex exceeds",
    );
}

#[test]
fn split_counts_from_both_ends() {
    check(r#"split("a:b:c", ":", 0) + split("a:b:c", ":", -1)"#, "ac");
    check(r#"split("a:b:c", ":", -3)"#, "a");
    check(r#"split("a", ":", 0)"#, "a");
    for index in ["2", "-3", "9223372036854775807", "-9223372036854775807"] {
        let reason = "`repository` does not have the part that split() asks for";
        check_missing(&format!(r#"split(claims.repository, "/", {index})"#), reason);
    }
    check_failed(
        r#"split("a", claims.empty, 0)"#,
        "split(): argument 2 must not be empty",
    );
    check_failed(
        r#"split("a", "/", claims.ref)"#,
        "split(): argument 3 has to be a number, but is text",
    );
}

#[test]
fn texts_cannot_explode() {
    let long = "the result is longer than 65536 bytes";
    check_failed("claims.huge", "the result is longer than 1024 bytes");
    check_failed("claims.huge + claims.huge", long);
    check_failed("join(claims.huge, claims.huge)", long);
    check_failed(r#"replace(claims.huge, "x", "yy")"#, long);
    check(r#"sha256(claims.huge) + "x""#, &{
        let sum = Expression::compile("sha256(claims.huge)")
            .unwrap()
            .text(&claims());
        format!("{}x", sum.unwrap())
    });
}

#[test]
fn long_chains_are_flat() {
    let text = [r#""a""#; 500].join(" + ");
    assert_eq!(
        Expression::compile(&text).unwrap().text(&claims()),
        Ok("a".repeat(500))
    );
}

/// The parser, our copy and the drop of its tree are recursive; tests run on 2 MiB of stack, like the server.
#[test]
fn the_deepest_texts_fit_on_the_stack() {
    let prefixes = "!".repeat(15);
    let calls = |open: &str, count: usize| format!("{}\"x\"{}", open.repeat(count), ")".repeat(count));
    for text in [
        format!(
            "{}true{}",
            format!("true && {prefixes}(").repeat(31),
            ")".repeat(31)
        ),
        ["true"; 512].join("=="),
        ["!true"; 300].join("=="),
        ["-1"; 300].join("+"),
        calls("lower(", 32),
        calls("join(\"a\", ", 32),
        format!("matches(claims.ref, \"{}\")", "(".repeat(4000)),
        format!("matches(claims.ref, \"{}\")", "x{9}".repeat(900)),
    ] {
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.text(&claims());
        }
    }
}

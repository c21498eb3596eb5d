//! What comes of a replacement that is pasted: never another rule than the form had in Expr.

use super::super::super::Expression;
use super::{check, refuse_foreign, scan};

/// The form is explained, and there is nothing that could be pasted.
#[track_caller]
fn check_sentence(text: &str, expected: &str) {
    let error = refuse_foreign(&scan(text).unwrap()).unwrap_err();
    assert!(error.message().contains(expected), "{text}: {error}");
    assert!(!error.message().contains("write claim"), "{text}: {error}");
}

/// `&&` binds tighter than `||`: without brackets, whoever is in the list needs nothing else.
#[test]
fn a_list_in_front_of_more_conditions_does_not_open_them() {
    let text = r#"claims.o in ["acme", "beta"] && claims.p == "true""#;
    let error = refuse_foreign(&scan(text).unwrap()).unwrap_err();
    let wanted = error.message().split_once("write ").unwrap().1;
    let pasted = format!(r#"{wanted} && claims.p == "true""#);
    let expression = Expression::compile(&pasted).unwrap();
    let claims = serde_json::json!({ "o": "acme", "p": "false" });
    assert_eq!(
        expression.condition(claims.as_object().unwrap()),
        Ok(false),
        "{pasted}"
    );
}

#[test]
fn a_left_side_that_binds_otherwise_is_explained_and_not_cut() {
    for text in [
        r#""p" + claims.a in ["x", "y"]"#,
        r#"!claims.a in ["x", "y"]"#,
        r#"!claims.a not in ["x", "y"]"#,
        r#"true == claims.a in ["x", "y"]"#,
        r#"claims.a in ["x", "y"] ?? claims.b"#,
        r#"claims.a in ["x", "y"][0:1]"#,
        r#"claims.a in ["x" || "y"]"#,
        "claims.a in [1..3]",
        r#"claims.a in ["x""#,
        r#""x" in claims.groups"#,
        r#""x" not in claims.groups"#,
    ] {
        check_sentence(text, "compare one claim with each value");
    }
    for text in [
        r#"!claims.a startsWith "x""#,
        r#"claims.a == claims.b contains "x""#,
    ] {
        check_sentence(text, "brackets around");
    }
}

/// A slice, a literal and a composite value do not become the name of a claim.
#[test]
fn no_replacement_names_another_claim() {
    for text in [
        "claims.a[1:3]",
        "claims.a[:3]",
        "claims.a[1:]",
        r#"claims["a"][1:]"#,
        r#"claims["a"](1)"#,
        r"claims['a\n']",
    ] {
        check_sentence(text, "split(text, separator, index)");
    }
    for text in [
        r#"claims.a == "b" ?? "c""#,
        r#"claims.a + "b" ?? "c""#,
        r#"claims.a == ("b") ?? "c""#,
        "claims.a == 1 ?? 2",
        "claims.a == true ?? false",
        r#""b" ?: "c""#,
        r#"claims.a == "b" ?: "c""#,
    ] {
        check_sentence(text, "default(claim, fallback)");
    }
    check(
        r#"claims.claims.a ?? "x""#,
        17,
        r#"default(claims.claims.a, "x")"#,
    );
}

#[test]
fn what_is_missing_is_said_and_no_hole_is_offered() {
    for text in [
        "claims.a ??",
        r#"?? "x""#,
        r#"claims.a ? "b" :"#,
        r#"? "a" : "b""#,
        "claims.a ?:",
        "claims.a startsWith",
        "claims.a and",
        "claims.a && (or claims.b)",
        "claims.a or && claims.b",
        "claims.a |",
        "| lower()",
        "true && not",
        "not in []",
        "claims.a?.",
    ] {
        let Err(error) = refuse_foreign(&scan(text).unwrap()) else {
            continue;
        };
        assert!(error.message().contains("a value is missing"), "{text}: {error}");
    }
}

#[test]
fn replacements_take_all_of_what_they_stand_for() {
    check(r"claims['it\'s']", 7, r#"claim("it's")"#);
    check(r#"claims['a"b\\c']"#, 7, r#"claim("a\"b\\c")"#);
    check(r#"'a\"b'"#, 1, r#""a\"b""#);
    check(r#"claims["a"]?.b"#, 7, r#"claim("a", "b")"#);
    check(r#"claims["a"]?.b.c?.["d"]"#, 7, r#"claim("a", "b", "c", "d")"#);
    check("claims.a?.b?.c", 9, r#"claims.a.b.c, or default("a.b.c", "")"#);
    check(
        r#"claims?.["a/b"]"#,
        7,
        r#"claim("a/b"), or default(claim("a/b"), "")"#,
    );
    check(r#""a" + claims.b | lower()"#, 16, r#"lower("a" + claims.b)"#);
    check(
        r#"claims.a + "x" startsWith "y""#,
        16,
        r#"startsWith(claims.a + "x", "y")"#,
    );
    check(
        r#"true && claims.a contains "x" + claims.b == false"#,
        18,
        r#"contains(claims.a, "x" + claims.b)"#,
    );
    check(
        r#"claims.a ?? claims.b["x"].c"#,
        10,
        r#"default("a", claims.b["x"].c)"#,
    );
    check("claims.a | split(1)[0]", 10, "split(claims.a, 1)");
}

/// A replacement that was cut, or lost a character, would be another one.
#[test]
fn a_replacement_that_cannot_be_shown_whole_is_not_shown() {
    let many = [r#""0123456789""#; 20].join(", ");
    let test = r#"claims.a == "0123456789""#;
    check(
        &format!("claims.a in [{many}]"),
        10,
        &format!("({})", [test; 20].join(" || ")),
    );
    check_sentence(
        &format!("claims.a in [{}]", vec![many; 9].join(", ")),
        "docs/expressions.md",
    );
    check_sentence("claims.a in ['x\ty', 'z']", "docs/expressions.md");
}

//! Properties: no text and no claims make anything panic, join is injective, and evalexpr's own
//! evaluation agrees with ours where both have a result.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Pieces of this language, of Expr, and of neither.
const PIECES: &[&str] = &[
    "claims.a",
    "claims.a.b",
    "claims",
    "claims.",
    "\"x\"",
    "\"\"",
    "\"\\\\\"",
    "'x'",
    "`",
    "\"",
    "1",
    "-1",
    "1.5",
    "0x1",
    "1e",
    "nan",
    "true",
    "false",
    "(",
    ")",
    "(",
    ")",
    ",",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "&&",
    "||",
    "!",
    "=",
    "&",
    "|",
    "?",
    ":",
    "??",
    "?.",
    "[",
    "]",
    "{",
    "}",
    "#",
    ";",
    "//",
    "/*",
    "*/",
    "not",
    "and",
    "or",
    "in",
    "let",
    "nil",
    "startsWith",
    "contains",
    "matches",
    "ü",
    "\u{0}",
    "\n",
    " ",
    "claim(",
    "join(",
    "default(",
    "nonempty(",
    "lower(",
    "trimPrefix(",
    "replace(",
    "matches(",
    "split(",
    "string(",
    "sha256(",
    "if(",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(
        (prop::sample::select(PIECES), prop::sample::select(&["", " "][..])),
        0..40,
    )
    .prop_map(|pieces| {
        pieces
            .into_iter()
            .map(|(piece, blank)| format!("{piece}{blank}"))
            .collect()
    })
}

/// Texts that an attacker may choose: NUL, line ends, escapes, dots, other scripts, NFC and NFD.
fn wild() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<String>(),
        4 => "[%/25Fa.]{0,8}",
        2 => prop::sample::select(&[
            "", "\0", "a\nb", "%2F", "..", "../..", "r\u{e9}f", "re\u{301}f", "\u{1f980}", "\u{202e}x", "refs/heads/größe",
        ][..]).prop_map(str::to_owned),
        1 => Just("ß".repeat(5 * 1024)),
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        6 => wild().prop_map(Json::from),
        1 => any::<i64>().prop_map(Json::from),
        1 => any::<u64>().prop_map(Json::from),
        1 => any::<f64>().prop_map(Json::from),
        1 => any::<bool>().prop_map(Json::from),
        1 => Just(Json::Null),
    ]
}

fn claims() -> impl Strategy<Value = Map<String, Json>> {
    let value = prop_oneof![
        6 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Json::from),
        1 => scalar().prop_map(|inner| json!({ "b": inner })),
    ];
    let name = || prop::sample::select(&["a", "b", "c", "a.b", "d/e"][..]).prop_map(str::to_owned);
    let texts = prop::collection::btree_map(name(), wild().prop_map(Json::from), 4..=5);
    let others = prop::collection::btree_map(name(), value, 0..3);
    (texts, others).prop_map(|(texts, others)| texts.into_iter().chain(others).collect())
}

/// Texts that mostly compile: every operator and function, nested.
fn program() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "claims.a",
            "claims.b",
            "claims.c",
            "claims.a.b",
            "claim(\"d/e\")",
            "\"x\"",
            "\"/\"",
            "\"ü\"",
            "7",
            "-1",
            "true",
        ][..],
    );
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let binary = prop::sample::select(&["+", "==", "!=", "<", ">", "<=", ">=", "&&", "||"][..]);
        let unary = prop::sample::select(
            &[
                "!", "nonempty", "lower", "upper", "trim", "string", "sha256", "join",
            ][..],
        );
        let two = prop::sample::select(
            &[
                "join",
                "trimPrefix",
                "trimSuffix",
                "startsWith",
                "endsWith",
                "contains",
                "default",
            ][..],
        );
        let three = prop::sample::select(&["replace", "split", "if", "join"][..]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            (unary, inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (two, inner.clone(), inner.clone()).prop_map(|(name, a, b)| format!("{name}({a}, {b})")),
            (three, inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(name, a, b, c)| format!("{name}({a}, {b}, {c})")),
            inner.prop_map(|a| format!("matches({a}, \"^(x|ü)+/\\\\w$\")")),
        ]
    })
}

/// Boolean expressions of literals only, without the brackets that would hide precedence.
fn literal_condition() -> impl Strategy<Value = String> {
    let pair = prop_oneof![
        ("[ab]{0,2}", "[ab]{0,2}")
            .prop_map(|(a, b)| (format!("\"{a}\" + \"x\""), format!("\"{b}\" + \"x\""))),
        (-3_i64..3, 0_i64..3).prop_map(|(a, b)| (a.to_string(), b.to_string())),
    ];
    let sign = prop::sample::select(&["==", "!=", "<", ">", "<=", ">="][..]);
    let leaf = prop_oneof![
        (pair, sign).prop_map(|((a, b), sign)| format!("{a} {sign} {b}")),
        prop::sample::select(&["true", "false", "!true", "!!false"][..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 30, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(&["&&", "||"][..]),
                inner.clone()
            )
                .prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn evaluate(text: &str, claims: &Map<String, Json>) {
    if let Ok(expression) = Expression::compile(text) {
        let _ = expression.warnings();
        let _ = expression.condition(claims);
        if let Ok(text) = expression.text(claims) {
            assert!(!text.is_empty() && text.len() <= Namespace::MAX_BYTES);
        }
    }
}

/// The namespace that `join` makes of these parts as claims.
fn joined(parts: &[String]) -> Result<Value<'static>, EvalError> {
    let names: Vec<String> = (0..parts.len()).map(|index| format!("claims.p{index}")).collect();
    let claims = parts
        .iter()
        .enumerate()
        .map(|(index, part)| (format!("p{index}"), json!(part)))
        .collect();
    let expression = Expression::compile(&format!("join({})", names.join(", "))).unwrap();
    match expression.root.value(&claims)? {
        Value::Text(text) => Ok(Value::Text(text.into_owned().into())),
        other => panic!("join gives {}", other.kind()),
    }
}

proptest! {
    #[test]
    fn any_text_compiles_or_fails(text in any::<String>(), claims in claims()) {
        evaluate(&text, &claims);
    }

    #[test]
    fn any_row_of_pieces_compiles_or_fails(text in soup(), claims in claims()) {
        evaluate(&text, &claims);
        if let Err(error) = Expression::compile(&text) {
            prop_assert!(!error.to_string().contains(char::is_control));
            prop_assert!(error.column() <= text.chars().count() + 1);
        }
    }

    #[test]
    fn any_program_evaluates_or_fails(text in program(), claims in claims()) {
        evaluate(&text, &claims);
    }

    #[test]
    fn own_checks_are_stricter_than_the_parser(text in prop_oneof![soup(), program()]) {
        if Expression::compile(&text).is_ok() {
            prop_assert!(evalexpr::build_operator_tree(&text).is_ok());
        }
        let tokens = token::scan(&text).ok().filter(|tokens| hints::refuse_foreign(tokens).is_ok());
        if tokens.is_some_and(|tokens| shape::check(&tokens).is_ok()) {
            prop_assert!(evalexpr::build_operator_tree(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn evalexpr_agrees(text in literal_condition()) {
        let ours = Expression::compile(&text).unwrap().condition(&Map::new());
        prop_assert_eq!(ours, Ok(evalexpr::eval_boolean(&text).unwrap()), "{}", text);
    }

    #[test]
    fn join_is_injective(
        a in prop::collection::vec("[%/25Fab]{1,4}", 1..5),
        b in prop::collection::vec("[%/25Fab]{1,4}", 1..5),
    ) {
        prop_assert_eq!(a == b, joined(&a) == joined(&b));
    }

    /// The same text cut at other places gives another result.
    #[test]
    fn join_keeps_cuts_apart(text in "[a/%]{2,12}", i in 1_usize..12, j in 1_usize..12) {
        let cut = |at: usize| {
            let (left, right) = text.split_at(at.min(text.len() - 1));
            vec![left.to_owned(), right.to_owned()]
        };
        prop_assert_eq!(cut(i) == cut(j), joined(&cut(i)) == joined(&cut(j)));
    }

    #[test]
    fn join_of_wild_parts_can_be_undone(parts in prop::collection::vec(wild(), 1..4)) {
        let Ok(Value::Text(text)) = joined(&parts) else {
            let too_long = parts.iter().map(|part| 3 * part.len()).sum::<usize>() > 1 << 16;
            prop_assert!(too_long || parts.iter().any(String::is_empty));
            return Ok(());
        };
        let undo = |part: &str| part.replace("%2F", "/").replace("%25", "%");
        prop_assert_eq!(text.split('/').map(undo).collect::<Vec<_>>(), parts);
    }
}

//! `docs/expressions.md` says what the code does.

use super::functions::ALL;
use super::{Expression, ValueKind};

const PAGE: &str = include_str!("../../../docs/expressions.md");

#[test]
fn every_function_is_in_the_table() {
    for function in &ALL {
        let row = format!("| `{}{}` | {} |", function.name, function.usage, function.doc);
        assert!(PAGE.contains(&row), "missing or different: {row}");
    }
}

#[test]
fn every_recipe_compiles_without_a_warning() {
    let mut recipes = 0;
    for line in PAGE.lines().map(str::trim) {
        let Some((key, text)) = line.split_once(" '").filter(|_| line.ends_with('\'')) else {
            continue;
        };
        let wanted = match key {
            "-" => ValueKind::Text,
            "allow_if:" | "write_if:" => ValueKind::Boolean,
            _ => continue,
        };
        let expression = Expression::compile(text.trim_end_matches('\'')).unwrap();
        assert_eq!(expression.warnings(), Vec::<String>::new(), "{line}");
        assert!(expression.kind().is_none_or(|kind| kind == wanted), "{line}");
        recipes += 1;
    }
    assert!(recipes >= 15, "{recipes} recipes");
}

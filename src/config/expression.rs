//! Reading expressions, and the seam to their language, which lives in a higher layer.

use serde_yaml::Value;

use super::defaults;
use super::field::Field;
use super::section::Section;

const EXAMPLE: &str = "'join(\"repo\", claims.repository_id, claims.ref)'";

/// Where an expression stands, which decides what it must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpressionKind {
    /// An entry of `cache_key_exprs`; must give a text.
    Namespace {
        /// Its place in the list. Only the namespace of index 0 is written to.
        index: usize,
    },
    /// `tenant` or `group`; must give a text or a number.
    Tenant,
    /// `allow_if`, `write_if` or `protect_if`; must give a boolean.
    Condition,
}

/// Checks the expressions of a file. The implementation belongs to the evaluation: `config`
/// is a lower layer and cannot.
pub trait ExpressionCheck {
    /// Checks one expression; `text` is never blank. Gives warnings, each on one line.
    ///
    /// # Errors
    /// What is wrong and what to do about it, on one line, without the file and the key.
    fn check(&self, kind: ExpressionKind, text: &str) -> Result<Vec<String>, String>;
}

/// Reads `cache_key_exprs`, which may be absent beside `scopes`. `None` when there is no list or nothing in it;
/// every fault is reported.
pub(super) fn namespaces(section: &Section<'_>, expressions: &dyn ExpressionCheck) -> Option<Vec<String>> {
    let Some(field) = section.field("cache_key_exprs") else {
        if section.field("scopes").is_some() {
            return Some(Vec::new());
        }
        let example = format!("cache_key_exprs:` with an entry `- {EXAMPLE}");
        section.missing("cache_key_exprs", &example);
        return None;
    };
    let entries = field.entries(EXAMPLE)?;
    if entries.is_empty() {
        field.error(format!("the list is empty; add an entry `- {EXAMPLE}`"));
        return None;
    }
    if entries.len() > defaults::MAX_EXPRESSIONS {
        field.error(format!(
            "the list has {} entries, and each is one more look-up for a miss; keep at most {}",
            entries.len(),
            defaults::MAX_EXPRESSIONS
        ));
    }
    let read = entries
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| expression(entry, ExpressionKind::Namespace { index }, expressions));
    Some(read.collect())
}

/// Reads `tenant` or `group`.
pub(super) fn tenant(section: &Section<'_>, name: &str, expressions: &dyn ExpressionCheck) -> Option<String> {
    expression(&section.field(name)?, ExpressionKind::Tenant, expressions)
}

/// Reads `allow_if`, `write_if` or `protect_if`.
pub(super) fn condition(
    section: &Section<'_>,
    name: &str,
    expressions: &dyn ExpressionCheck,
) -> Option<String> {
    let field = section.field(name)?;
    // `allow_if: true` is a boolean for YAML and a fine expression.
    if let Value::Bool(value) = field.value {
        return Some(value.to_string());
    }
    expression(&field, ExpressionKind::Condition, expressions)
}

fn expression(field: &Field<'_>, kind: ExpressionKind, expressions: &dyn ExpressionCheck) -> Option<String> {
    let text = field.read(Field::text)?;
    match expressions.check(kind, text) {
        Ok(warnings) => warnings.iter().for_each(|warning| field.warn(warning)),
        Err(error) => field.error(error),
    }
    Some(text.to_owned())
}

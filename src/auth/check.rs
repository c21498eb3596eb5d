//! Checks of expressions for the configuration, which does not know the language.

use super::credentials::Credentials;
use super::error::Error;
use super::expr::{Expression, ValueKind};
use super::job_token;
use super::token::UnverifiedToken;
use crate::config::{ExpressionCheck, ExpressionKind};

/// Checks the expressions of a configuration file while it is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expressions;

impl ExpressionCheck for Expressions {
    fn check(&self, kind: ExpressionKind, text: &str) -> Result<Vec<String>, String> {
        let checked = Expression::compile(text).and_then(|expression| match kind {
            ExpressionKind::Namespace { .. } => expression.of_kind(ValueKind::Text),
            ExpressionKind::Tenant => expression.of_text_or_number(),
            ExpressionKind::Condition => expression.of_kind(ValueKind::Boolean),
        });
        let expression = checked.map_err(|error| error.to_string())?;
        Ok(expression.warnings())
    }
}

/// Reads the value of an `Authorization` header as far as that goes without keys: for `fuzz/`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read_header(value: &[u8]) -> Result<(), Error> {
    let credentials = Credentials::from_header_values([value].into_iter())?;
    let text = credentials.token()?;
    if job_token::is_job_token(&text) {
        job_token::read(&text)?;
        return Ok(());
    }
    UnverifiedToken::parse(&text)?;
    Ok(())
}

//! Checks of expressions for the configuration, which does not know the language.

use super::credentials::Credentials;
use super::error::Error;
use super::expr::{Expression, ValueKind};
use super::token::UnverifiedToken;
use crate::config::{ExpressionCheck, ExpressionKind};

/// Checks the expressions of a configuration file while it is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expressions;

impl ExpressionCheck for Expressions {
    fn check(&self, kind: ExpressionKind, text: &str) -> Result<Vec<String>, String> {
        let wanted = match kind {
            ExpressionKind::Namespace { .. } | ExpressionKind::Tenant => ValueKind::Text,
            ExpressionKind::Condition => ValueKind::Boolean,
        };
        let expression = Expression::compile(text).map_err(|error| error.to_string())?;
        let expression = expression.of_kind(wanted).map_err(|error| error.to_string())?;
        Ok(expression.warnings())
    }
}

/// Reads the value of an `Authorization` header as far as that goes without keys: for `fuzz/`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read_header(value: &[u8]) -> Result<(), Error> {
    let credentials = Credentials::from_header_values([value].into_iter())?;
    let jwt = credentials.jwt()?;
    UnverifiedToken::parse(&jwt)?;
    Ok(())
}

//! The seam between the configuration, which cannot know the language, and the language.

use super::expr::{Expression, Kind};
use crate::config::{ExpressionCheck, ExpressionKind};

/// Checks the expressions of a configuration file while it is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expressions;

impl ExpressionCheck for Expressions {
    fn check(&self, kind: ExpressionKind, text: &str) -> Result<Vec<String>, String> {
        let wanted = match kind {
            ExpressionKind::Namespace { .. } => Kind::Text,
            ExpressionKind::Condition => Kind::Boolean,
        };
        let expression = Expression::compile(text).map_err(|error| error.to_string())?;
        let expression = expression.of_kind(wanted).map_err(|error| error.to_string())?;
        Ok(expression.warnings())
    }
}

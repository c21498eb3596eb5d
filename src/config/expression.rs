//! The seam to the expression language, which lives in a higher layer.

/// Where an expression stands, which decides what it must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpressionKind {
    /// An entry of `cache_key_exprs`; must give a text.
    Namespace {
        /// Its place in the list. Only the namespace of index 0 is written to.
        index: usize,
    },
    /// `allow_if` or `write_if`; must give a boolean.
    Condition,
}

/// Checks the expressions of a file. The implementation belongs to whoever evaluates them: `config`
/// is a lower layer and cannot.
pub trait ExpressionCheck {
    /// Checks one expression; `text` is never blank. Gives warnings, each on one line.
    ///
    /// # Errors
    /// What is wrong and what to do about it, on one line, without the file and the key.
    fn check(&self, kind: ExpressionKind, text: &str) -> Result<Vec<String>, String>;
}

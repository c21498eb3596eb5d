//! The language of `cache_key_exprs`, `allow_if` and `write_if`.
//!
//! An expression is compiled once at load and evaluated once per token. The grammar is evalexpr's;
//! `docs/expressions.md` describes it for operators. The way of a text:
//!
//! ```text
//! token    cut into tokens with columns
//! hints    refuse forms of the Expr language, with their replacement
//! shape    refuse everything that the parser could stumble on, check names
//! compile  evalexpr's parser, then an own tree with patterns and claims resolved (forms: the calls)
//! eval     the tree and the claims of one token to a value
//! ```
//!
//! Nothing outside of this folder knows evalexpr. Invariants: no text makes `compile` panic, no
//! claims make an evaluation panic, every node is evaluated at most once, no text grows above 64 KiB, and no
//! error shows the value of a claim.

mod compile;
mod error;
mod eval;
mod forms;
mod functions;
mod hints;
mod shape;
mod token;
mod tree;
mod value;
mod value_kind;
mod warn;

#[cfg(test)]
mod docs;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value as Json};

use super::identity::Namespace;
use tree::Node;
use value::Value;

pub use error::{ClaimErrorKind, CompileError, EvalError};
pub(super) use functions::push_part;
pub use value_kind::ValueKind;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// Longest text in bytes.
    pub const MAX_BYTES: usize = compile::MAX_BYTES;

    /// Compiles `text`.
    ///
    /// # Errors
    /// One line with the column, what is wrong and, for the forms of the Expr language, what to
    /// write instead.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        let root = compile::compile(text)?;
        Ok(Self { root })
    }

    /// This expression, if it can have a result of this type: a namespace for text, a condition for a boolean, an id for a
    /// number.
    ///
    /// # Errors
    /// If every token would give another type or, because no claim is used, the same failure.
    pub fn of_kind(self, wanted: ValueKind) -> Result<Self, CompileError> {
        if let Some(found) = self.kind().filter(|found| *found != wanted) {
            return Err(CompileError::wrong_result(wanted, found));
        }
        if self.root.first_claim().is_some() {
            return Ok(self);
        }
        let none = Map::new();
        let outcome = match wanted {
            ValueKind::Boolean => self.condition(&none).map(drop),
            ValueKind::Text => self.text(&none).map(drop),
            ValueKind::Number => self.text_or_number(&none).map(drop),
        };
        match outcome {
            Ok(()) => Ok(self),
            Err(error) => Err(CompileError::no_result(wanted, &error)),
        }
    }

    /// Warnings for the author, one line each, for the log at start and for `check`.
    pub fn warnings(&self) -> Vec<String> {
        warn::warnings(&self.root)
    }

    /// The names of the claims that it uses, each without what is nested in it. Names may repeat.
    pub(super) fn claim_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.root.walk(&mut |node| {
            if let Node::Claim(path) = node {
                names.push(path.first().to_owned());
            }
        });
        names
    }

    /// [`Expression::of_kind`] for what may be a text or a number.
    ///
    /// # Errors
    /// As [`Expression::of_kind`].
    pub fn of_text_or_number(self) -> Result<Self, CompileError> {
        match self.kind() {
            Some(ValueKind::Number) => self.of_kind(ValueKind::Number),
            _ => self.of_kind(ValueKind::Text),
        }
    }

    /// The type of the result, if it does not depend on the token.
    pub fn kind(&self) -> Option<ValueKind> {
        self.root.kind()
    }

    /// The result as a text of 1 to [`Namespace::MAX_BYTES`] bytes.
    ///
    /// # Errors
    /// A missing claim, any other type, an empty or a longer text, a function that fails.
    pub fn text(&self, claims: &Map<String, Json>) -> Result<String, EvalError> {
        match self.root.value(claims)? {
            Value::Text(text) if text.is_empty() => Err(EvalError::Empty),
            Value::Text(text) if text.len() > Namespace::MAX_BYTES => Err(EvalError::TooLong {
                limit: Namespace::MAX_BYTES,
            }),
            Value::Text(text) => Ok(text.into_owned()),
            other => Err(EvalError::NotAString { found: other.kind() }),
        }
    }

    /// The result as a text that is not empty; numbers are written out.
    ///
    /// # Errors
    /// A missing claim, a boolean, an empty text, a function that fails.
    pub fn text_or_number(&self, claims: &Map<String, Json>) -> Result<String, EvalError> {
        match self.root.value(claims)? {
            Value::Text(text) if text.is_empty() => Err(EvalError::Empty),
            Value::Text(text) => Ok(text.into_owned()),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(EvalError::NotAString { found: other.kind() }),
        }
    }

    /// The result as a boolean.
    ///
    /// # Errors
    /// A missing claim, any other type, a function that fails. The caller takes each as `false`.
    pub fn condition(&self, claims: &Map<String, Json>) -> Result<bool, EvalError> {
        match self.root.value(claims)? {
            Value::Boolean(boolean) => Ok(boolean),
            other => Err(EvalError::NotABoolean { found: other.kind() }),
        }
    }
}

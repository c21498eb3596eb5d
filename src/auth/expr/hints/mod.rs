//! Forms of the Expr language, which the first Chacha used, and what to write instead.
//!
//! evalexpr would answer with a message about its parser, or take the form for an odd name that
//! fails with the first token. So each is found before, and the answer holds the replacement for
//! exactly that text, which binds as the form does in Expr; where none does, a sentence explains the form.
//! `docs/expressions.md` lists them.

mod names;
mod operators;
mod paths;
mod span;
mod texts;

use super::error::{CompileError, shown};
use super::token::{Token, TokenKind};
use span::TokenSpan;

pub(super) use names::{unknown_function, unknown_name};

/// Operators of Expr that are words between two values, and functions here.
const INFIX_WORDS: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];

/// Longest replacement that is shown, in bytes.
const MAX_REPLACEMENT_BYTES: usize = 1000;

/// Refuses the first foreign form.
///
/// # Errors
/// Its column, its name and the replacement.
pub(super) fn refuse_foreign(tokens: &[Token<'_>]) -> Result<(), CompileError> {
    for (at, token) in tokens.iter().enumerate() {
        let here = HintCursor { tokens, at };
        if let Some(message) = here.message() {
            return Err(CompileError::new(token.column, message));
        }
    }
    Ok(())
}

/// A position in the row of tokens.
#[derive(Clone, Copy)]
struct HintCursor<'a, 't> {
    tokens: &'a [Token<'t>],
    at: usize,
}

impl<'t> HintCursor<'_, 't> {
    fn message(self) -> Option<String> {
        let token = self.tokens[self.at];
        match (token.kind, token.text) {
            (TokenKind::Text, _) => None,
            (TokenKind::ForeignText, text) => {
                let found = shown(text);
                Some(match whole(&texts::requoted(text)) {
                    Some(wanted) => {
                        format!("a text stands in double quotes: write {wanted} instead of {found}")
                    }
                    None => format!("a text stands in double quotes, unlike {found}"),
                })
            }
            (TokenKind::Word, word) => self.word(word),
            (TokenKind::Sign, sign) => self.sign(sign),
        }
    }

    fn word(self, word: &'t str) -> Option<String> {
        match word {
            "not" => self.not(),
            "and" if self.behind_value() => Some(self.logic("and", "&&")),
            "or" if self.behind_value() => Some(self.logic("or", "||")),
            "in" if self.behind_value() => Some(self.is_in(false)),
            "let" => Some("`let` does not exist: write the value where it is used".to_owned()),
            "nil" | "null" => Some(format!(
                "`{word}` does not exist: a missing claim is an error; default(\"name\", \"\") gives \"\" for it"
            )),
            _ if INFIX_WORDS.contains(&word) && self.behind_value() => Some(self.infix(word, "")),
            _ => None,
        }
    }

    fn sign(self, sign: &str) -> Option<String> {
        match sign {
            "??" => Some(self.coalesce()),
            "?." => Some(self.optional()),
            "?" => Some(self.ternary()),
            "[" => Some(self.bracket()),
            "|" => Some(self.pipe()),
            "#" | "{" | "}" => Some(format!(
                "`{sign}` is not known: there are no closures, maps and lists"
            )),
            "&" => Some("`&` is not known: write &&".to_owned()),
            "-" | "/" | ":" | "@" => self.odd_name(),
            _ => None,
        }
    }

    /// Whether a value ends just before, so that a word here is an operator.
    fn behind_value(self) -> bool {
        let Some((token, _)) = self.tokens[..self.at].split_last() else {
            return false;
        };
        match token.kind {
            TokenKind::Text | TokenKind::ForeignText => true,
            TokenKind::Word => !matches!(token.text, "not" | "and" | "or" | "in"),
            TokenKind::Sign => token.is(")") || token.is("]"),
        }
    }

    fn next_is(self, sign: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.is(sign))
    }

    fn render(self, span: TokenSpan) -> String {
        span::render(self.tokens, span)
    }

    /// The message for the form `found` if a value before or behind it is missing.
    fn missing_operand(self, found: &str, before: TokenSpan, behind: TokenSpan) -> Option<String> {
        match (self.is_empty(before), self.is_empty(behind)) {
            (true, _) => Some(missing(found, "before")),
            (false, true) => Some(missing(found, "behind")),
            (false, false) => None,
        }
    }

    fn is_empty(self, span: TokenSpan) -> bool {
        span.0 >= span.1.min(self.tokens.len())
    }
}

/// The message with the replacement of the form `found`.
fn instead(found: &str, wanted: &str) -> String {
    match whole(wanted) {
        Some(wanted) => format!("`{found}` is not known: write {wanted}"),
        None => format!("`{found}` is not known: docs/expressions.md shows what to write"),
    }
}

/// `wanted`, if it can be shown as it is: it will be pasted, and one that was cut or lost a character
/// would be another expression.
fn whole(wanted: &str) -> Option<&str> {
    let fits = wanted.len() <= MAX_REPLACEMENT_BYTES && !wanted.contains(char::is_control);
    fits.then_some(wanted)
}

/// For a form without one of its values.
fn missing(found: &str, place: &str) -> String {
    format!("`{found}` is not known, and a value is missing {place} it")
}

#[cfg(test)]
mod tests;

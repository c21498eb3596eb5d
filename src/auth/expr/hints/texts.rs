//! Texts in the quotes of Expr, and what stands in them.

use super::super::token::{Token, TokenKind};
use super::super::value::quote;

/// `'text'` or `` `text` `` in double quotes.
pub(super) fn requoted(text: &str) -> String {
    let inner = inside(text);
    if text.starts_with('`') {
        return quote(inner);
    }
    let mut quoted = String::from("\"");
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => match letters.next() {
                // A single quote needs no escape any more. Any other escape stays, known or not.
                Some('\'') => quoted.push('\''),
                escaped => quoted.extend(['\\'].into_iter().chain(escaped)),
            },
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// The value of a text token; `None` with an escape that only Expr knows, and for other tokens.
pub(super) fn unquoted(token: &Token<'_>) -> Option<String> {
    match token.kind {
        TokenKind::Text => unescaped(inside(token.text)),
        TokenKind::ForeignText if token.text.starts_with('`') => Some(inside(token.text).to_owned()),
        TokenKind::ForeignText => unescaped(inside(token.text)),
        TokenKind::Word | TokenKind::Sign => None,
    }
}

fn inside(text: &str) -> &str {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
}

fn unescaped(inner: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '\\' => letters.next().filter(|escaped| "\\\"'".contains(*escaped))?,
            letter => letter,
        };
        text.push(letter);
    }
    Some(text)
}

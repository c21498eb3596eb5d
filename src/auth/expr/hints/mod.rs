//! Forms of the Expr language, which the first Chacha used, and what to write instead.
//!
//! evalexpr would answer with a message about its parser, or take the form for an odd name that
//! fails with the first token. So each is found before, and the answer holds the replacement for
//! exactly that text. `docs/expressions.md` lists them.

mod names;
mod span;

use super::error::{CompileError, shown};
use super::token::{Token, TokenKind};
use super::value::quote;
use span::Span;

pub(super) use names::{unknown_function, unknown_name};

/// Operators of Expr that are words between two values, and functions here.
const INFIX: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];

/// Refuses the first foreign form.
///
/// # Errors
///
/// Its column, its name and the replacement.
pub(super) fn refuse_foreign(tokens: &[Token<'_>]) -> Result<(), CompileError> {
    for (at, token) in tokens.iter().enumerate() {
        let here = Here { tokens, at };
        if let Some(message) = here.message() {
            return Err(CompileError::new(token.column, message));
        }
    }
    Ok(())
}

/// One token among all.
#[derive(Clone, Copy)]
struct Here<'a, 't> {
    tokens: &'a [Token<'t>],
    at: usize,
}

impl<'t> Here<'_, 't> {
    fn message(self) -> Option<String> {
        let token = self.tokens[self.at];
        match (token.kind, token.text) {
            (TokenKind::Text, _) => None,
            (TokenKind::ForeignText, text) => {
                let wanted = shown(&span::requoted(text));
                Some(format!(
                    "a text stands in double quotes: write {wanted} instead of {}",
                    shown(text)
                ))
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
            _ if INFIX.contains(&word) && self.behind_value() => Some(self.infix(word, "")),
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
        let Some(before) = self.at.checked_sub(1) else {
            return false;
        };
        let token = self.tokens[before];
        match token.kind {
            TokenKind::Text | TokenKind::ForeignText => true,
            TokenKind::Word => !matches!(token.text, "not" | "and" | "or" | "in"),
            TokenKind::Sign => token.is(")") || token.is("]"),
        }
    }

    fn next_is(self, sign: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.is(sign))
    }

    fn render(self, span: Span) -> String {
        span::render(self.tokens, span)
    }

    fn left(self) -> Span {
        span::value_before(self.tokens, self.at)
    }

    fn right(self) -> Span {
        span::value_after(self.tokens, self.at)
    }

    fn instead(self, found: &str, wanted: &str) -> String {
        format!("`{found}` is not known: write {}", shown(wanted))
    }

    /// `x startsWith y`, also behind `not`.
    fn infix(self, word: &str, prefix: &str) -> String {
        // Behind `not`, the left value ends one token earlier.
        let before = if prefix.is_empty() { self.at } else { self.at - 1 };
        let left = self.render(span::value_before(self.tokens, before));
        let wanted = format!("{prefix}{word}({left}, {})", self.render(self.right()));
        self.instead(&format!("x {word} y"), &wanted)
    }

    fn not(self) -> Option<String> {
        let next = Here {
            at: self.at + 1,
            ..self
        };
        match self.tokens.get(next.at).map(|token| token.text) {
            Some("in") if self.behind_value() => Some(next.is_in(true)),
            Some(word) if self.behind_value() && INFIX.contains(&word) => Some(next.infix(word, "!")),
            // `not(x)`, too.
            _ => Some(self.instead("not", &format!("!{}", self.render(self.right())))),
        }
    }

    /// `a and b`, with everything up to the next such word on both sides.
    fn logic(self, word: &str, sign: &str) -> String {
        let ends = |token: &Token<'_>| ["and", "or", "&&", "||", "?", "??", ":"].contains(&token.text);
        let left = self.render(span::before(self.tokens, self.at, ends));
        let right = self.render(span::after(self.tokens, self.at, ends));
        self.instead(word, &format!("{left} {sign} {right}"))
    }

    /// `x in ["a", "b"]`, also behind `not`.
    fn is_in(self, negated: bool) -> String {
        let (equal, sign) = if negated {
            (" != ", " && ")
        } else {
            (" == ", " || ")
        };
        let before = if negated { self.at - 1 } else { self.at };
        let left = self.render(span::value_before(self.tokens, before));
        let found = if negated { "not in" } else { "in" };
        if !self.next_is("[") {
            let wanted = format!("one comparison per value, {left}{equal}\"...\"");
            return self.instead(found, &wanted);
        }
        let items = span::items(self.tokens, self.at + 1);
        let tests: Vec<String> = items
            .into_iter()
            .map(|item| format!("{left}{equal}{}", self.render(item)))
            .collect();
        self.instead(found, &tests.join(sign))
    }

    /// `x ?? y`; `x` may have any form here, because default() does not evaluate it before.
    fn coalesce(self) -> String {
        let left = self.render(self.left());
        let subject = match left.strip_prefix("claims.") {
            Some(name) if !name.contains(['(', '[', '?']) => quote(name),
            _ => left,
        };
        self.instead(
            "??",
            &format!("default({subject}, {})", self.render(self.right())),
        )
    }

    /// `claims.a?.b`.
    fn optional(self) -> String {
        let name = format!("{}.{}", self.render(self.left()), self.render(self.right()));
        let plain = name.strip_prefix("claims.").unwrap_or(&name);
        let wanted = format!(
            "{name}, or default({}, \"\") where it may be missing",
            quote(plain)
        );
        self.instead("?.", &wanted)
    }

    /// `a ? b : c` with everything in the same bracket, and `a ?: c`.
    fn ternary(self) -> String {
        let whole = |_: &Token<'_>| false;
        let condition = self.render(span::before(self.tokens, self.at, whole));
        let rest = span::after(self.tokens, self.at, whole);
        let Some(colon) = span::colon(self.tokens, rest) else {
            return self.instead("?", "if(condition, then, else)");
        };
        let otherwise = self.render((colon + 1, rest.1));
        if colon == rest.0 {
            return self.instead("?:", &format!("default({condition}, {otherwise})"));
        }
        let then = self.render((rest.0, colon));
        self.instead("? :", &format!("if({condition}, {then}, {otherwise})"))
    }

    /// `claims["a/b"]`, `claims.a["b"].c`; a list, an index or a slice has no replacement.
    fn bracket(self) -> String {
        if !self.behind_value() {
            return "`[...]` is not known: there are no lists; compare with each value".to_owned();
        }
        match span::claim_names(self.tokens, self.at) {
            Some(names) => {
                let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
                self.instead("[...]", &format!("claim({})", names.join(", ")))
            }
            None => "`[...]` is not known: split(text, separator, index) takes a part of a text".to_owned(),
        }
    }

    /// `x | f(y)`.
    fn pipe(self) -> String {
        let left = self.render(self.left());
        let (start, end) = self.right();
        let called = self.tokens.get(start + 1).is_some_and(|token| token.is("("));
        if !called || end < start + 3 {
            return self.instead("|", "the call itself, function(value)");
        }
        let name = self.tokens[start].text;
        let rest = self.render((start + 2, end - 1));
        let comma = if rest.is_empty() { "" } else { ", " };
        self.instead("|", &format!("{name}({left}{comma}{rest})"))
    }

    /// `claims.repo-name`: a sign glued to a name, which means a claim with that sign in its name.
    fn odd_name(self) -> Option<String> {
        let (start, end) = span::glued(self.tokens, self.at);
        let text: String = self.tokens[start..end].iter().map(|token| token.text).collect();
        let name = text.strip_prefix("claims.")?;
        let sign = self.tokens[self.at].text;
        Some(format!(
            "`{sign}` cannot stand in a name: write claim({}) for a claim with this name",
            quote(&shown(name))
        ))
    }
}

#[cfg(test)]
mod tests;

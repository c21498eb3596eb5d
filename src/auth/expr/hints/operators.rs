//! Operators of Expr, and how tight they bind there: `??`, then `not` and `!`, `+`, comparisons together with `in` and
//! `startsWith`, `and`, `or`, `? :`, and `|`.

use super::super::token::{Token, TokenKind};
use super::super::value::quote;
use super::paths::plain_name;
use super::span::{self, TokenSpan};
use super::{HintCursor, INFIX_WORDS, instead, missing};

impl HintCursor<'_, '_> {
    /// `x startsWith y`, also behind `not`.
    pub(super) fn infix(self, word: &str, prefix: &str) -> String {
        let found = format!("x {word} y");
        // Behind `not`, the left value ends one token earlier.
        let before = if prefix.is_empty() { self.at } else { self.at - 1 };
        let left = span::before(self.tokens, before, span::ends_condition);
        let right = span::after(self.tokens, self.at, span::ends_operand);
        if let Some(message) = self.missing_operand(&found, left, right) {
            return message;
        }
        if !span::is_sum(self.tokens, left) {
            return format!(
                "`{found}` is not known: {prefix}{word}(x, y) is, with brackets around exactly the two texts that are meant"
            );
        }
        let (left, right) = (self.render(left), self.render(right));
        instead(&found, &format!("{prefix}{word}({left}, {right})"))
    }

    pub(super) fn not(self) -> Option<String> {
        let next = HintCursor {
            at: self.at + 1,
            ..self
        };
        match self.tokens.get(next.at).map(|token| token.text) {
            Some("in") if self.behind_value() => Some(next.is_in(true)),
            Some("in") => Some(missing("not in", "before")),
            Some(word) if self.behind_value() && INFIX_WORDS.contains(&word) => Some(next.infix(word, "!")),
            // `not(x)`, too.
            _ => {
                let right = span::value_after(self.tokens, self.at);
                Some(match self.is_empty(right) {
                    true => missing("not", "behind"),
                    false => instead("not", &format!("!{}", self.render(right))),
                })
            }
        }
    }

    /// `a and b`, with everything up to the next such word on both sides.
    pub(super) fn logic(self, word: &str, sign: &str) -> String {
        let ends = |token: &Token<'_>| ["and", "or", "&&", "||", "?", "??", ":"].contains(&token.text);
        let left = span::before(self.tokens, self.at, ends);
        let right = span::after(self.tokens, self.at, ends);
        if self.is_empty(right) {
            return missing(word, "behind");
        }
        let (left, right) = (self.render(left), self.render(right));
        instead(word, &format!("{left} {sign} {right}"))
    }

    /// `x in ["a", "b"]`, also behind `not`. Bracketed: what follows in the expression binds tighter than `||`.
    pub(super) fn is_in(self, negated: bool) -> String {
        let (found, equal, sign) = match negated {
            true => ("not in", "!=", "&&"),
            false => ("in", "==", "||"),
        };
        let before = if negated { self.at - 1 } else { self.at };
        let Some(tests) = self.comparisons(before, equal) else {
            return format!(
                "`{found}` is not known: compare one claim with each value, in brackets: (x {equal} \"a\" {sign} x {equal} \"b\")"
            );
        };
        let wanted = match &tests[..] {
            [] => negated.to_string(),
            [test] => test.clone(),
            tests => format!("({})", tests.join(&format!(" {sign} "))),
        };
        instead(found, &wanted)
    }

    /// One comparison per value of the list behind this token; `None` unless both sides are exactly that.
    fn comparisons(self, before: usize, equal: &str) -> Option<Vec<String>> {
        let left = span::before(self.tokens, before, span::ends_condition);
        let open = self.at + 1;
        if !self.next_is("[") || !span::is_plain(self.tokens, left) {
            return None;
        }
        let close = span::closing(self.tokens, open)?;
        // Anything else binds as tight as the list, or tighter.
        let ends = |token: &Token<'_>| span::ends_condition(token) || span::closes(token) || token.is(",");
        if !self.tokens.get(close + 1).is_none_or(ends) {
            return None;
        }
        let left = self.render(left);
        let items = span::items(self.tokens, open, close);
        let tests = items.into_iter().map(|item| {
            let plain = span::is_plain(self.tokens, item);
            plain.then(|| format!("{left} {equal} {}", self.render(item)))
        });
        tests.collect()
    }

    /// `x ?? y`; `x` may have any form here, because default() does not evaluate it before.
    pub(super) fn coalesce(self) -> String {
        let left = span::value_before(self.tokens, self.at);
        let right = span::value_after(self.tokens, self.at);
        if let Some(message) = self.missing_operand("??", left, right) {
            return message;
        }
        self.default("??", left, right)
    }

    /// `default(subject, fallback)`, unless a text in its first place would name a claim that was not meant.
    fn default(self, found: &str, subject: TokenSpan, fallback: TokenSpan) -> String {
        if !span::is_plain(self.tokens, subject) || self.is_literal(subject) {
            return format!(
                "`{found}` is not known, and the value before it is never missing: default(claim, fallback) replaces a missing claim"
            );
        }
        let subject = self.render(subject);
        let subject = plain_name(&subject).map_or_else(|| subject.clone(), quote);
        instead(found, &format!("default({subject}, {})", self.render(fallback)))
    }

    /// Whether the span is a text, a number or a boolean, in any number of brackets.
    fn is_literal(self, (mut start, mut end): TokenSpan) -> bool {
        while self.tokens[start].is("(") && end > start + 2 {
            (start, end) = (start + 1, end - 1);
        }
        let value = &self.tokens[start];
        let word =
            value.text.starts_with(|c: char| c.is_ascii_digit()) || ["true", "false"].contains(&value.text);
        end == start + 1 && (value.kind != TokenKind::Word || word)
    }

    /// `a ? b : c` with everything in the same bracket, and `a ?: c`.
    pub(super) fn ternary(self) -> String {
        let whole = |_: &Token<'_>| false;
        let condition = span::before(self.tokens, self.at, whole);
        let rest = span::after(self.tokens, self.at, whole);
        let Some(colon) = span::colon(self.tokens, rest) else {
            return instead("?", "if(condition, then, else)");
        };
        let (then, otherwise) = ((rest.0, colon), (colon + 1, rest.1));
        let found = if self.is_empty(then) { "?:" } else { "? :" };
        if let Some(message) = self.missing_operand(found, condition, otherwise) {
            return message;
        }
        if self.is_empty(then) {
            return self.default(found, condition, otherwise);
        }
        let parts = [condition, then, otherwise].map(|part| self.render(part));
        instead(found, &format!("if({})", parts.join(", ")))
    }

    /// `x | f(y)`, where `x` is everything before it in the same bracket.
    pub(super) fn pipe(self) -> String {
        let left = span::before(self.tokens, self.at, |token| token.is(";"));
        if let Some(message) = self.missing_operand("|", left, (self.at + 1, self.tokens.len())) {
            return message;
        }
        let (name, open) = (self.at + 1, self.at + 2);
        let called = self.tokens[name].kind == TokenKind::Word
            && self.tokens.get(open).is_some_and(|token| token.is("("));
        let close = span::closing(self.tokens, open).filter(|_| called);
        let Some(close) = close else {
            return instead("|", "the call itself, function(value)");
        };
        let rest = self.render((open + 1, close));
        let comma = if rest.is_empty() { "" } else { ", " };
        let (name, left) = (self.tokens[name].text, self.render(left));
        instead("|", &format!("{name}({left}{comma}{rest})"))
    }
}

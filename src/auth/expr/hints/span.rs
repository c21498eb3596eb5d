//! Parts of a row of tokens, for the replacement texts.
//!
//! A replacement is pasted into an expression that decides about rights. Where a cut could be wrong, the caller asks
//! [`is_plain`] or [`is_sum`] first. Every function is total.

use super::super::token::{Token, TokenKind};
use super::{INFIX_WORDS, texts};

/// Tokens from the first index up to, without, the second one.
pub(super) type TokenSpan = (usize, usize);

fn opens(token: &Token<'_>) -> bool {
    token.is("(") || token.is("[") || token.is("{")
}

pub(super) fn closes(token: &Token<'_>) -> bool {
    token.is(")") || token.is("]") || token.is("}")
}

/// The tokens before `at` in the same bracket and argument, back to one that `ends`.
pub(super) fn before(tokens: &[Token<'_>], at: usize, ends: impl Fn(&Token<'_>) -> bool) -> TokenSpan {
    let mut depth = 0_usize;
    let mut start = at;
    while start > 0 {
        let token = &tokens[start - 1];
        if depth == 0 && (opens(token) || token.is(",") || ends(token)) {
            break;
        }
        if closes(token) {
            depth += 1;
        } else if opens(token) {
            depth -= 1;
        }
        start -= 1;
    }
    (start, at)
}

/// The tokens behind `at` in the same bracket and argument, up to one that `ends`.
pub(super) fn after(tokens: &[Token<'_>], at: usize, ends: impl Fn(&Token<'_>) -> bool) -> TokenSpan {
    let mut depth = 0_usize;
    let mut end = at + 1;
    while let Some(token) = tokens.get(end) {
        if depth == 0 && (closes(token) || token.is(",") || ends(token)) {
            break;
        }
        if opens(token) {
            depth += 1;
        } else if closes(token) {
            depth -= 1;
        }
        end += 1;
    }
    (at + 1, end.max(at + 1).min(tokens.len().max(at + 1)))
}

/// One value before `at`: a text, a name, a bracket, a call.
pub(super) fn value_before(tokens: &[Token<'_>], at: usize) -> TokenSpan {
    let mut start = at;
    while start > 0 && closes(&tokens[start - 1]) {
        let (inside, _) = before(tokens, start - 1, |_| false);
        let (inside, _) = whole_bracket(tokens, inside);
        start = inside.saturating_sub(1);
    }
    let word = |token: &Token<'_>| token.kind != TokenKind::Sign;
    if start > 0 && word(&tokens[start - 1]) {
        start -= 1;
    }
    (start, at)
}

/// Back over commas to the start of the bracket's contents.
fn whole_bracket(tokens: &[Token<'_>], mut start: usize) -> TokenSpan {
    let end = start;
    while start > 0 && tokens[start - 1].is(",") {
        (start, _) = before(tokens, start - 1, |_| false);
    }
    (start, end)
}

/// One value behind `at`: prefixes, then a text, a name, a bracket, a call, and what is glued to it.
pub(super) fn value_after(tokens: &[Token<'_>], at: usize) -> TokenSpan {
    let start = at + 1;
    let mut end = start;
    let prefix = |token: &Token<'_>| token.is("!") || token.is("-") || is_word(token, "not");
    while tokens.get(end).is_some_and(prefix) {
        end += 1;
    }
    let first = end;
    if tokens.get(end).is_some_and(|token| token.kind != TokenKind::Sign) {
        end += 1;
    }
    while let Some(token) = tokens.get(end) {
        let member = token.is("?.") || end > first && token.text.starts_with('.');
        match (opens(token), member || end > 0 && tokens[end - 1].is("?.")) {
            (true, _) => end = closing(tokens, end).unwrap_or(tokens.len() - 1) + 1,
            (false, true) => end += 1,
            (false, false) => break,
        }
    }
    // Prefixes alone are no value.
    let end = if end == first { start } else { end };
    (start, end.min(tokens.len()).max(start))
}

pub(super) fn is_word(token: &Token<'_>, word: &str) -> bool {
    token.kind == TokenKind::Word && token.text == word
}

/// Whether an operand of `startsWith` or `in` ends before this token on the left: what binds looser, or as tight.
pub(super) fn ends_condition(token: &Token<'_>) -> bool {
    let sign = |sign: &&str| token.is(sign);
    ["&&", "||", "?", ":", "|", ";"].iter().any(sign) || is_word(token, "and") || is_word(token, "or")
}

/// Whether an operand of `startsWith` ends before this token on the right.
pub(super) fn ends_operand(token: &Token<'_>) -> bool {
    let sign = |sign: &&str| token.is(sign);
    let word = |word: &&str| is_word(token, word);
    ends_condition(token)
        || ["==", "!=", "<", ">", "<=", ">="].iter().any(sign)
        || ["in", "not"].iter().any(word)
        || INFIX_WORDS.iter().any(word)
}

/// Whether the span is one value that no operator around it can pull apart.
pub(super) fn is_plain(tokens: &[Token<'_>], (start, end): TokenSpan) -> bool {
    let closed = |open: usize| closing(tokens, open) == Some(end - 1);
    match tokens.get(start..end).unwrap_or_default() {
        // `1..3` is a range.
        [value] => value.kind != TokenKind::Sign && !value.text.contains(".."),
        [minus, number] if minus.is("-") => number.text.bytes().all(|byte| byte.is_ascii_digit()),
        [name, open, ..] if name.kind == TokenKind::Word && open.is("(") => closed(start + 1),
        [open, ..] if open.is("(") => closed(start),
        _ => false,
    }
}

/// Whether the span is one plain value, or several with `+` between them.
pub(super) fn is_sum(tokens: &[Token<'_>], (start, end): TokenSpan) -> bool {
    let mut rest = end;
    loop {
        let part = before(tokens, rest, |token| token.is("+"));
        let part = (part.0.max(start), rest);
        if !is_plain(tokens, part) {
            return false;
        }
        if part.0 == start {
            return true;
        }
        rest = part.0 - 1;
    }
}

/// The index of the bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if opens(token) {
            depth += 1;
        } else if closes(token) {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// The parts of the list between the brackets at `open` and `end`.
pub(super) fn items(tokens: &[Token<'_>], open: usize, end: usize) -> Vec<TokenSpan> {
    let mut items = Vec::new();
    let mut at = open;
    while at < end {
        let item = after(tokens, at, |_| false);
        if item.1 > item.0 {
            items.push(item);
        }
        at = item.1;
    }
    items
}

/// The `:` that belongs to the `?` just before `span`.
pub(super) fn colon(tokens: &[Token<'_>], span: TokenSpan) -> Option<usize> {
    let mut inner = 0_usize;
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().take(span.1).skip(span.0) {
        if opens(token) {
            depth += 1;
        } else if closes(token) {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is("?") {
            inner += 1;
        } else if depth == 0 && token.is(":") {
            if inner == 0 {
                return Some(at);
            }
            inner -= 1;
        }
    }
    None
}

/// The text of `span`, with foreign quotes replaced.
pub(super) fn render(tokens: &[Token<'_>], span: TokenSpan) -> String {
    let mut text = String::new();
    for token in tokens.get(span.0..span.1).unwrap_or_default() {
        if token.spaced && !text.is_empty() {
            text.push(' ');
        }
        match token.kind {
            TokenKind::ForeignText => text.push_str(&texts::requoted(token.text)),
            _ => text.push_str(token.text),
        }
    }
    text
}

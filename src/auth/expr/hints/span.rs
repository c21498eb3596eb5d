//! Parts of a row of tokens, for the replacement texts.
//!
//! Nothing here has to be right for every text: a wrong cut gives a clumsy proposal, never a wrong
//! result. It has to be total.

use super::super::token::{Token, TokenKind};
use super::super::value::quote;

/// Tokens from the first index up to, without, the second one.
pub(super) type Span = (usize, usize);

fn opens(token: &Token<'_>) -> bool {
    token.is("(") || token.is("[") || token.is("{")
}

fn closes(token: &Token<'_>) -> bool {
    token.is(")") || token.is("]") || token.is("}")
}

/// The tokens before `at` in the same bracket and argument, back to one that `ends`.
pub(super) fn before(tokens: &[Token<'_>], at: usize, ends: impl Fn(&Token<'_>) -> bool) -> Span {
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
pub(super) fn after(tokens: &[Token<'_>], at: usize, ends: impl Fn(&Token<'_>) -> bool) -> Span {
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
pub(super) fn value_before(tokens: &[Token<'_>], at: usize) -> Span {
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
fn whole_bracket(tokens: &[Token<'_>], mut start: usize) -> Span {
    let end = start;
    while start > 0 && tokens[start - 1].is(",") {
        (start, _) = before(tokens, start - 1, |_| false);
    }
    (start, end)
}

/// One value behind `at`: prefixes, then a text, a name, a bracket, a call.
pub(super) fn value_after(tokens: &[Token<'_>], at: usize) -> Span {
    let start = at + 1;
    let mut end = start;
    while tokens
        .get(end)
        .is_some_and(|token| token.is("!") || token.is("-"))
    {
        end += 1;
    }
    if tokens.get(end).is_some_and(|token| token.kind != TokenKind::Sign) {
        end += 1;
    }
    while tokens.get(end).is_some_and(opens) {
        end = closing(tokens, end) + 1;
    }
    (start, end.min(tokens.len()).max(start))
}

/// The index of the bracket that closes the one at `open`, or of the last token.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if opens(token) {
            depth += 1;
        } else if closes(token) {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len() - 1
}

/// The parts of the list that opens at `open`.
pub(super) fn items(tokens: &[Token<'_>], open: usize) -> Vec<Span> {
    let end = closing(tokens, open);
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
pub(super) fn colon(tokens: &[Token<'_>], span: Span) -> Option<usize> {
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

/// The names of the claim in `claims["a"].b`, from the `[` at `at`.
pub(super) fn claim_names(tokens: &[Token<'_>], at: usize) -> Option<Vec<String>> {
    let base = tokens.get(at.checked_sub(1)?)?;
    let (root, nested) = base.text.split_once('.').unwrap_or((base.text, ""));
    if root != "claims" {
        return None;
    }
    let split = |text: &str| {
        text.split('.')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut names = split(nested);
    let mut rest = &tokens[at..];
    loop {
        match rest {
            [open, name, close, ..] if open.is("[") && close.is("]") => {
                names.push(unquoted(name)?);
                rest = &rest[3..];
            }
            [word, ..] if word.text.starts_with('.') => {
                names.extend(split(word.text));
                rest = &rest[1..];
            }
            _ => return Some(names),
        }
    }
}

/// The tokens around `at` without blanks between them, back to the start of a name.
pub(super) fn glued(tokens: &[Token<'_>], at: usize) -> Span {
    let part = |token: &Token<'_>| {
        token.kind == TokenKind::Word || ["-", "/", ":", "@"].iter().any(|sign| token.is(sign))
    };
    let mut start = at;
    while start > 0 && !tokens[start].spaced && part(&tokens[start - 1]) {
        start -= 1;
    }
    let mut end = at + 1;
    while tokens.get(end).is_some_and(|token| !token.spaced && part(token)) {
        end += 1;
    }
    (start, end)
}

/// The text of `span`, with foreign quotes replaced.
pub(super) fn render(tokens: &[Token<'_>], span: Span) -> String {
    let mut text = String::new();
    for token in tokens.get(span.0..span.1).unwrap_or_default() {
        if token.spaced && !text.is_empty() {
            text.push(' ');
        }
        match token.kind {
            TokenKind::ForeignText => text.push_str(&requoted(token.text)),
            _ => text.push_str(token.text),
        }
    }
    text
}

/// `'text'` in double quotes.
pub(super) fn requoted(text: &str) -> String {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    if text.starts_with('`') {
        return quote(inner);
    }
    // Its escapes stay; `\'` needs none any more.
    format!("\"{}\"", inner.replace("\\'", "'").replace('"', "\\\""))
}

fn unquoted(token: &Token<'_>) -> Option<String> {
    let inner = token.text.get(1..token.text.len().checked_sub(1)?)?;
    match token.kind {
        TokenKind::Text => Some(inner.replace("\\\"", "\"").replace("\\\\", "\\")),
        TokenKind::ForeignText => Some(inner.to_owned()),
        _ => None,
    }
}

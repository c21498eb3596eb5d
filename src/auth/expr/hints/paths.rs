//! Claims in the spellings of Expr: `claims["a/b"]`, `claims.a?.b`, `claims.a-b`.

use super::super::error::shown;
use super::super::token::{Token, TokenKind};
use super::super::value::{ClaimPath, quote};
use super::span::TokenSpan;
use super::{HintCursor, instead, missing, texts};

impl HintCursor<'_, '_> {
    /// `claims.a?.b`, the whole chain: a fallback for a part of it would be of another claim.
    pub(super) fn optional(self) -> String {
        if self.at + 1 == self.tokens.len() {
            return missing("?.", "behind");
        }
        let Some(path) = claim_names(self.tokens, self.at).and_then(ClaimPath::new) else {
            return "`?.` is not known: names of claims have `.` between them, and default(claim, fallback) replaces a missing one".to_owned();
        };
        let name = path.source();
        let subject = match plain_name(&name) {
            Some(plain) => quote(plain),
            None => name.clone(),
        };
        let wanted = format!("{name}, or default({subject}, \"\") where it may be missing");
        instead("?.", &wanted)
    }

    /// `claims["a/b"]`, `claims.a["b"].c`; a list, an index or a slice has no replacement.
    pub(super) fn bracket(self) -> String {
        if !self.behind_value() {
            return "`[...]` is not known: there are no lists; compare with each value".to_owned();
        }
        match claim_names(self.tokens, self.at) {
            Some(names) => {
                let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
                instead("[...]", &format!("claim({})", names.join(", ")))
            }
            None => "`[...]` is not known: split(text, separator, index) takes a part of a text, trimPrefix(text, prefix) cuts off its start".to_owned(),
        }
    }

    /// `claims.repo-name`: a sign glued to a name, which means a claim with that sign in its name.
    pub(super) fn odd_name(self) -> Option<String> {
        let (start, end) = glued(self.tokens, self.at);
        let text: String = self.tokens[start..end].iter().map(|token| token.text).collect();
        let name = text.strip_prefix("claims.")?;
        let sign = self.tokens[self.at].text;
        Some(format!(
            "`{sign}` cannot stand in a name: write claim({}) for a claim with this name",
            quote(&shown(name))
        ))
    }
}

/// The name that `default("...", fallback)` takes for the claim written `claim`: without a leading `claims.`.
pub(super) fn plain_name(claim: &str) -> Option<&str> {
    let name = claim.strip_prefix("claims.")?;
    (ClaimPath::dotted(name).is_some() && !name.starts_with("claims.")).then_some(name)
}

/// The names of the claim in `claims["a"].b?.c`, from the sign at `at`; `None` if anything else stands in the chain,
/// such as an index, a slice or a call.
fn claim_names(tokens: &[Token<'_>], at: usize) -> Option<Vec<String>> {
    let base = tokens.get(at.checked_sub(1)?)?;
    let (root, nested) = base.text.split_once('.').unwrap_or((base.text, ""));
    if base.kind != TokenKind::Word || root != "claims" {
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
            [dot, open, ..] if dot.is("?.") && open.is("[") => rest = &rest[1..],
            [dot, word, ..] if dot.is("?.") && word.kind == TokenKind::Word => {
                names.extend(split(word.text));
                rest = &rest[2..];
            }
            [open, name, close, ..] if open.is("[") && close.is("]") => {
                names.push(texts::unquoted(name)?);
                rest = &rest[3..];
            }
            [open, ..] if ["[", "(", "{", "?."].iter().any(|sign| open.is(sign)) => return None,
            [word, ..] if word.kind == TokenKind::Word && word.text.starts_with('.') => {
                names.extend(split(word.text));
                rest = &rest[1..];
            }
            _ => return Some(names),
        }
    }
}

/// The tokens around `at` without blanks between them, back to the start of a name.
fn glued(tokens: &[Token<'_>], at: usize) -> TokenSpan {
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

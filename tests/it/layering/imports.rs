//! Paths in code, and the tree of a `use`.

use proc_macro2::TokenTree;

use super::source::is_punct;

/// One leaf of a `use`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Import {
    /// `path`, known here as `name`.
    Name {
        /// From `crate`, `self`, `super` or a name of the module.
        path: Vec<String>,
        /// The last part, or what stands behind `as`.
        name: String,
    },
    /// `path::*`.
    Glob(Vec<String>),
}

/// The path that `tokens` begin with, and how many tokens it takes: at least the first word.
pub(super) fn path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        at += 1;
        let next = matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)));
        if !(is_double_colon(&tokens[at..]) && next) {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// Every leaf of the tree between `use` and its semicolon.
pub(super) fn of_use(tokens: &[TokenTree]) -> Vec<Import> {
    let mut found = Vec::new();
    tree(&[], tokens, &mut found);
    found
}

fn tree(above: &[String], tokens: &[TokenTree], found: &mut Vec<Import>) {
    // `::name` is another crate, as is whatever the module does not know.
    let start = if is_double_colon(tokens) { 2 } else { 0 };
    let (part, length) = path(&tokens[start..]);
    let mut whole = above.to_vec();
    whole.extend(part);
    let mut rest = &tokens[start + length..];
    if is_double_colon(rest) {
        rest = &rest[2..];
    }
    match rest {
        [TokenTree::Group(group), ..] => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for branch in inner
                .split(|token| is_punct(token, ','))
                .filter(|branch| !branch.is_empty())
            {
                tree(&whole, branch, found);
            }
        }
        [star, ..] if is_punct(star, '*') => found.push(Import::Glob(whole)),
        [TokenTree::Ident(word), TokenTree::Ident(name)] if word == "as" => {
            found.push(leaf(whole, Some(name.to_string())));
        }
        _ => found.push(leaf(whole, None)),
    }
}

/// `a::{self}` is `a`.
fn leaf(mut path: Vec<String>, alias: Option<String>) -> Import {
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
    Import::Name { path, name }
}

fn is_double_colon(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [one, two, ..] if is_punct(one, ':') && is_punct(two, ':'))
}

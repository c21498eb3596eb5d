//! Expressions that work, but may not mean what their author thinks.

use regex_syntax::hir::Look;

use super::tree::Node;
use super::value::{Value, quote};

/// All warnings about `root`, one line each.
pub(super) fn warnings(root: &Node) -> Vec<String> {
    let mut found = Vec::new();
    root.walk(&mut |node| match node {
        Node::Concat(parts) => found.extend(ambiguous(parts)),
        Node::Matches(_, regex) => found.extend(unanchored(regex.as_str())),
        _ => {}
    });
    if root.first_claim().is_none() {
        found.push("no claim is used: the result is the same for every token of this provider".to_owned());
    }
    found
}

/// Two parts of free length with only literal text between them: (`g`, `a/b`) and (`g/a`, `b`) give
/// the same text. It is not known here what an issuer allows in a claim, so any literal may occur in it.
fn ambiguous(parts: &[Node]) -> Option<String> {
    let mut free = parts.iter().filter(|part| is_free(part));
    let (first, second) = (free.next()?, free.next()?);
    let name = |node: &Node| {
        node.first_claim()
            .map_or("a value".to_owned(), |path| path.source())
    };
    Some(format!(
        "{} and {} are joined with text that may also occur inside of them, so different tokens may give the same result: {} keeps them apart",
        name(first),
        name(second),
        proposal(parts),
    ))
}

fn is_free(node: &Node) -> bool {
    match node {
        Node::Literal(_) => false,
        // Always 64 characters.
        Node::Call(function, ..) => function.name != "sha256",
        _ => true,
    }
}

/// `join(...)` with the same parts; a `/` at the edge of a literal becomes join's own.
fn proposal(parts: &[Node]) -> String {
    let mut sources = Vec::new();
    for part in parts {
        match part {
            Node::Literal(Value::Text(text)) if text.trim_matches('/').is_empty() => {}
            Node::Literal(Value::Text(text)) => sources.push(quote(text.trim_matches('/'))),
            other => match other.source() {
                Some(source) => sources.push(source),
                None => return "join(part, ...)".to_owned(),
            },
        }
    }
    format!("join({})", sources.join(", "))
}

fn unanchored(pattern: &str) -> Option<String> {
    if is_anchored(pattern) {
        return None;
    }
    Some(format!(
        "matches(..., {}) also accepts text around the pattern: write ^(...)$ to match all of it",
        quote(pattern)
    ))
}

/// Whether every match begins and ends with the text. The characters at the edges do not tell: `^a|b$` has
/// two alternatives, and `^a\$` ends with a dollar sign.
fn is_anchored(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|hir| {
        let properties = hir.properties();
        properties.look_set_prefix().contains(Look::Start) && properties.look_set_suffix().contains(Look::End)
    })
}

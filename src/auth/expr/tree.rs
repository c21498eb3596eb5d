//! The compiled form of an expression.

use std::cmp::Ordering;

use regex::Regex;

use super::functions::{Function, FunctionBody};
use super::value::{ClaimPath, Value, quote};
use super::value_kind::ValueKind;

/// One node. Chains of `+`, `&&` and `||` are flat, so the depth is that of the brackets.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Value<'static>),
    Claim(ClaimPath),
    Not(Box<Node>),
    Compare(Comparison, Box<[Node; 2]>),
    /// `&&`: stops at the first `false`.
    All(Vec<Node>),
    /// `||`: stops at the first `true`.
    Any(Vec<Node>),
    /// `+` on texts.
    Concat(Vec<Node>),
    /// Condition, then, else.
    If(Box<[Node; 3]>),
    /// The part that may be missing, and the fallback.
    Default(Box<[Node; 2]>),
    Matches(Box<Node>, Regex),
    Call(&'static Function, FunctionBody, Vec<Node>),
}

/// Whether a comparison holds for two values of one type that stand in this order.
pub(super) type Comparison = fn(Ordering) -> bool;

impl Node {
    /// The type of the result where it is known at load; a claim may have any.
    pub(super) fn kind(&self) -> Option<ValueKind> {
        match self {
            Self::Literal(value) => Some(value.kind()),
            Self::Claim(_) => None,
            Self::Not(_) | Self::Compare(..) | Self::All(_) | Self::Any(_) | Self::Matches(..) => {
                Some(ValueKind::Boolean)
            }
            Self::Concat(_) => Some(ValueKind::Text),
            Self::If(parts) => both(&parts[1], &parts[2]),
            Self::Default(parts) => both(&parts[0], &parts[1]),
            Self::Call(function, ..) => function.gives,
        }
    }

    pub(super) fn children(&self) -> &[Node] {
        match self {
            Self::Literal(_) | Self::Claim(_) => &[],
            Self::Not(inner) | Self::Matches(inner, _) => std::slice::from_ref(inner),
            Self::Compare(_, pair) | Self::Default(pair) => pair.as_slice(),
            Self::If(parts) => parts.as_slice(),
            Self::All(parts) | Self::Any(parts) | Self::Concat(parts) | Self::Call(_, _, parts) => parts,
        }
    }

    /// Calls `visit` for this node and all below it, in the order of the text.
    pub(super) fn walk<'n>(&'n self, visit: &mut impl FnMut(&'n Node)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    pub(super) fn first_claim(&self) -> Option<&ClaimPath> {
        match self {
            Self::Claim(path) => Some(path),
            _ => self.children().iter().find_map(Node::first_claim),
        }
    }

    /// The text of a literal or a claim; `None` for all others.
    pub(super) fn source(&self) -> Option<String> {
        match self {
            Self::Claim(path) => Some(path.source()),
            Self::Literal(Value::Text(text)) => Some(quote(text)),
            _ => None,
        }
    }
}

fn both(a: &Node, b: &Node) -> Option<ValueKind> {
    a.kind().filter(|kind| b.kind() == Some(*kind))
}

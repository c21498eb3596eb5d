//! Messages for unknown names.

use super::super::error::shown;
use super::super::functions;
use super::super::value::quote;

/// Functions of Expr that have another name here.
const RENAMED_FUNCTIONS: [(&str, &str); 6] = [
    ("hasPrefix", "startsWith"),
    ("hasSuffix", "endsWith"),
    ("toLower", "lower"),
    ("toUpper", "upper"),
    ("str", "string"),
    ("path", "join"),
];

/// For a call of `name`, with the nearest function.
pub(in super::super) fn unknown_function(name: &str) -> String {
    let found = shown(name);
    if name.starts_with("claims.") {
        return format!("`{found}` is a claim, not a function");
    }
    match nearest_function(name) {
        Some(function) => format!(
            "there is no function `{found}`; write {}{}",
            function.name, function.usage
        ),
        None => format!("there is no function `{found}`; docs/expressions.md lists all"),
    }
}

/// For `name` where a value is expected.
pub(in super::super) fn unknown_name(name: &str) -> String {
    let found = shown(name);
    if let Some(function) = functions::find(name) {
        return format!(
            "`{found}` is a function: write {}{}",
            function.name, function.usage
        );
    }
    if let Some(claim) = name.strip_prefix("claims") {
        let claim = claim.trim_matches('.');
        let wanted = match claim {
            "" => "claims.<name>".to_owned(),
            claim => format!("claim({})", quote(claim)),
        };
        return format!("`{found}` does not name a claim: write {}", shown(&wanted));
    }
    let name = name.strip_prefix("claim.").unwrap_or(name).trim_matches('.');
    format!("`{found}` is not known; write claims.{}", shown(name))
}

fn nearest_function(name: &str) -> Option<&'static functions::Function> {
    if let Some((_, renamed)) = RENAMED_FUNCTIONS.iter().find(|(old, _)| *old == name) {
        return functions::find(renamed);
    }
    let distance = |known: &str| strsim::osa_distance(&known.to_lowercase(), &name.to_lowercase());
    functions::ALL
        .iter()
        .map(|function| (distance(function.name), function))
        .filter(|(distance, function)| *distance <= function.name.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, function)| function)
}

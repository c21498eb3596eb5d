//! `ARCHITECTURE.md` and `docs/design/*.md` name only what is there.
//!
//! What stands between single backquotes is held against the tree (fenced blocks are pictures, and are not):
//!
//! - `src/store/disk`, `docs/{s3,actions}.md`: a path from the top of the repository. It exists.
//! - `actions/room`: the end of a path below `src`, without `.rs`, if its first part is no folder of the top.
//! - `store::disk`, `store::content::Residency`, `entry::serve`, `Disk::get`: a module from the top of the
//!   crate, or the end of its path, or a type; and below it what is defined in its file or folder.
//! - `StoreKey`: a name with two capitals or more is defined somewhere in `src`, unless it is one of [`FOREIGN`].
//!
//! Anything else is not ours, or no name: one with blanks, a slash in front (a URL) or only at the end (a folder of
//! the cache), a header, a key of the configuration.

use std::path::{Path, PathBuf};

use crate::layering::source::{Module, Tree};
use crate::layering::tree;

/// Names with capitals, and first parts of paths, that others define.
const FOREIGN: &[&str] = &["BuildKit", "GitHub", "axum", "hyper", "std", "tokio", "tower"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages, with their names.
fn pages() -> Vec<(String, String)> {
    let mut files = vec![root().join("ARCHITECTURE.md")];
    if let Ok(design) = std::fs::read_dir(root().join("docs/design")) {
        files.extend(design.map(|entry| entry.unwrap().path()));
    }
    let read = |file: PathBuf| {
        (
            file.strip_prefix(root()).unwrap().display().to_string(),
            std::fs::read_to_string(file).unwrap(),
        )
    };
    files.into_iter().map(read).collect()
}

/// What stands between single backquotes, with its line.
fn code(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let lines = page.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    lines.flat_map(|(nth, line)| {
        line.split('`')
            .skip(1)
            .step_by(2)
            .map(move |code| (nth + 1, code))
    })
}

/// Why `code` is not held, or `None`.
fn fault(tree: &Tree, code: &str) -> Option<String> {
    let name = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let is_path = code.trim_end_matches('/').contains('/') && !code.starts_with('/') && !code.contains("://");
    let path_sign = |letter: char| letter.is_alphanumeric() || "_-./{},*".contains(letter);
    if is_path && code.chars().all(path_sign) {
        let lost = expanded(code).into_iter().find(|path| !path_exists(tree, path));
        return lost.map(|path| format!("there is no {path}"));
    }
    let code = code.trim_end_matches("()");
    let parts: Vec<&str> = code.split("::").collect();
    if FOREIGN.contains(&parts[0]) || !parts.iter().all(|part| name(part)) {
        return None;
    }
    let camel =
        |name: &str| name.matches(char::is_uppercase).count() > 1 && name.contains(char::is_lowercase);
    let held = parts.len() > 1 || camel(code);
    (held && !is_known(tree, &parts)).then(|| format!("nothing is called {code}"))
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn expanded(path: &str) -> Vec<String> {
    match path
        .split_once('{')
        .and_then(|(front, rest)| Some((front, rest.split_once('}')?)))
    {
        Some((front, (group, end))) => group
            .split(',')
            .flat_map(|part| expanded(&format!("{front}{}{end}", part.trim())))
            .collect(),
        None => vec![path.to_owned()],
    }
}

fn path_exists(tree: &Tree, path: &str) -> bool {
    let path = path.trim_end_matches("/*").trim_end_matches('/');
    let top = path.split('/').next().unwrap_or_default();
    if root().join(top).exists() {
        return root().join(path).exists();
    }
    let end: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    tree.modules.keys().any(|module| ends_with(module, &end))
}

fn ends_with(path: &[String], end: &[&str]) -> bool {
    path.len() >= end.len() && path[path.len() - end.len()..].iter().eq(end)
}

/// Whether the parts are a module and what it defines.
fn is_known(tree: &Tree, parts: &[&str]) -> bool {
    let is_top = tree.modules.contains_key(&vec![parts[0].to_owned()]);
    tree.modules.keys().any(|path| {
        // No module in front: a type stands for itself, in the module that defines it.
        (usize::from(is_top)..=parts.len()).any(|length| {
            let (module, item) = parts.split_at(length);
            let whole = !is_top || path.len() == length;
            whole && ends_with(path, module) && defines(tree, path, item)
        })
    })
}

/// Whether the file or folder of a module defines `item`: a name, and perhaps one below it.
fn defines(tree: &Tree, path: &[String], item: &[&str]) -> bool {
    let Some((first, rest)) = item.split_first() else {
        return true;
    };
    let within = |has: &dyn Fn(&Module) -> bool| {
        let below = tree.modules.iter().filter(|(module, _)| module.starts_with(path));
        below
            .filter(|(_, module)| !module.test)
            .any(|(_, module)| has(module))
    };
    // What is a module has been taken for one.
    let is_module = tree
        .modules
        .contains_key(&[path, &[(*first).to_owned()]].concat());
    !path.is_empty()
        && !is_module
        && within(&|module| module.items.contains(*first))
        && rest.iter().all(|name| {
            let variant = name.starts_with(char::is_uppercase);
            within(&|module| module.items.contains(*name) || (variant && module.words.contains(*name)))
        })
}

#[test]
fn every_path_and_name_in_the_pages_exists() {
    let tree = tree();
    let mut lost = Vec::new();
    for (file, page) in pages() {
        for (line, code) in code(&page) {
            lost.extend(fault(&tree, code).map(|fault| format!("{file}:{line}: {fault}")));
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn what_is_not_there_is_found() {
    let tree = tree();
    for held in [
        "src/store/disk",
        "src/{config,telemetry}/mod.rs",
        "cache/actions/index",
        "store::disk",
        "store::key::StoreKey",
        "StoreKey",
        "Disk::get",
        "protocol::entry",
        "entry::serve",
        "Store::put",
        "disk.limit",
        "If-Match",
        "uploads/",
        "/_chacha/blob/{ticket}",
        "GET",
        "100 Continue",
        "Arc",
        "https://example.com/a",
    ] {
        assert_eq!(fault(&tree, held), None, "{held}");
    }
    for lost in [
        "src/store/gone",
        "src/{config,gone}/mod.rs",
        "cache/actions/gone",
        "store::gone",
        "store::key::Gone",
        "GoneKey",
        "Disk::gone",
        "gone::serve",
        "Gone::put",
        "docs/gone.md",
        "store::Scope",
        "entry::gone()",
    ] {
        assert!(fault(&tree, lost).is_some(), "{lost}");
    }
}

#[test]
fn only_code_outside_of_pictures_is_held() {
    let page = "`a` b `c`\n```text\n`d`\n```\n`e`";
    assert_eq!(code(page).collect::<Vec<_>>(), [(1, "a"), (1, "c"), (5, "e")]);
}

//! Imports point downwards only (the table of `src/lib.rs`), and never in a circle.

mod circles;
mod imports;
mod layers;
mod resolve;
pub(crate) mod source;
mod tests;

use std::path::Path;

use layers::Layers;
use source::Tree;

const LIB: &str = include_str!("../../src/lib.rs");

/// The modules of this crate.
pub(crate) fn tree() -> Tree {
    Tree::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn imports_point_downwards_only() {
    let tree = tree();
    let faults = Layers::of(LIB).faults(&tree);
    assert!(tree.modules.len() > 50 && faults.is_empty(), "{faults:#?}");
}

#[test]
fn files_import_each_other_in_no_circle() {
    let circles = circles::circles(&tree());
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Words that the code below a module must not hold, and what they would break.
const FORBIDDEN: [(&str, &[&str], &str); 6] = [
    (
        "protocol",
        &["Disk", "Tiered", "S3", "RemoteTier", "StoreKey"],
        "front-ends hold a `Cache`, never a store",
    ),
    ("auth", &["StoreKey"], "only the cache makes a store key"),
    ("server", &["StoreKey"], "only the cache makes a store key"),
    (
        "cache",
        &["axum", "hyper", "http"],
        "nothing below `protocol` knows HTTP of clients",
    ),
    (
        "store",
        &["axum", "hyper"],
        "nothing below `protocol` knows HTTP of clients",
    ),
    (
        "config",
        &["axum", "hyper"],
        "nothing below `protocol` knows HTTP of clients",
    ),
];

#[test]
fn no_part_names_what_is_not_its_business() {
    let tree = tree();
    let mut wrong = Vec::new();
    for (part, words, why) in FORBIDDEN {
        let below = tree
            .modules
            .iter()
            .filter(|(path, _)| path.first().is_some_and(|top| top == part));
        for (_, module) in below.filter(|(_, module)| !module.test) {
            let found = words.iter().filter(|word| module.words.contains(**word));
            wrong.extend(found.map(|word| format!("{} names {word}: {why}", module.file)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A front-end that could end a request in another way than `Call::finish` could forget its record and its body.
#[test]
fn only_the_dispatch_ends_a_request_without_its_call() {
    let tree = tree();
    let guards = tree
        .modules
        .iter()
        .filter(|(_, module)| module.words.contains("answer_or_fault"));
    let files: Vec<_> = guards.map(|(_, module)| module.file.as_str()).collect();
    assert_eq!(files, ["protocol/mod.rs", "protocol/call/mod.rs"]);
}

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

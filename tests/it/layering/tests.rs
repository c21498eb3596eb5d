//! The checkers find what is planted, in small trees.

use super::circles::circles;
use super::layers::Layers;
use super::source::Tree;

const TABLE: &str = "//! ```text
//! server
//! protocol::{http, nx}
//! protocol (links)
//! store::disk          auth
//! store (meta,
//!        key)
//! ```";

/// A tree that keeps to [`TABLE`].
const FILES: &[(&str, &str)] = &[
    (
        "lib.rs",
        "pub mod auth; pub mod protocol; pub mod server; pub mod store;",
    ),
    ("auth.rs", "pub struct Scope;"),
    (
        "server.rs",
        "use crate::protocol::{http, links::{self, Links as L}};",
    ),
    (
        "protocol/mod.rs",
        "mod http; pub mod links; mod nx; pub use links::Links; pub use http::*; fn list() { http::answer(); nx::answer(); }",
    ),
    (
        "protocol/http/mod.rs",
        "use super::Links; use crate::store::Meta; pub fn answer() {}",
    ),
    ("protocol/nx.rs", "pub fn answer() {}"),
    ("protocol/links.rs", "/// See `crate::server`.\npub struct Links;"),
    (
        "store/mod.rs",
        "pub mod disk; mod key; mod meta; pub use meta::Meta;",
    ),
    ("store/key.rs", "pub struct Key;"),
    (
        "store/meta.rs",
        "use super::key::Key; pub struct Meta; const TEXT: &str = \"crate::server\";",
    ),
    (
        "store/disk/mod.rs",
        "mod lru; use crate::store::Meta; pub struct Disk; #[cfg(test)] mod tests;",
    ),
    (
        "store/disk/lru.rs",
        "use super::super::key; pub struct Lru(super::Disk, key::Key);",
    ),
    ("store/disk/tests.rs", "use super::*; use super::lru::Lru;"),
];

/// [`FILES`], with `text` at the end of `file`, or in a new one.
fn planted(file: &str, text: &str) -> Tree {
    let mut files: Vec<(&str, String)> = FILES
        .iter()
        .map(|(name, text)| (*name, (*text).to_owned()))
        .collect();
    match files.iter_mut().find(|(name, _)| *name == file) {
        Some((_, old)) => *old += text,
        None => files.push((file, text.to_owned())),
    }
    Tree::new(files.iter().map(|(name, text)| (*name, text.as_str())))
}

fn faults(file: &str, text: &str) -> Vec<String> {
    Layers::of(TABLE).faults(&planted(file, text))
}

#[test]
fn a_tree_in_order_has_no_faults() {
    assert_eq!(faults("auth.rs", ""), [""; 0]);
    assert_eq!(circles(&planted("auth.rs", "")), [[""; 0]; 0]);
}

#[test]
fn a_path_that_points_up_is_found_however_it_is_written() {
    let check = |file, text| {
        let faults = faults(file, text);
        assert!(
            faults.len() == 1 && faults[0].contains("leads up to"),
            "{text}: {faults:?}"
        );
        assert!(faults[0].starts_with(file), "{text}: {faults:?}");
    };
    check(
        "store/meta.rs",
        "use super::super::protocol::links::Links as _Up;",
    );
    check(
        "store/meta.rs",
        "use crate::{store::{self, key}, protocol::{links::Links}};",
    );
    check("store/meta.rs", "pub use crate::server as below;");
    check("store/meta.rs", "use crate::protocol::links::*;");
    check("store/meta.rs", "use super::disk::lru::Lru;");
    check("store/meta.rs", "mod inner { use super::super::super::server; }");
    check("store/meta.rs", "fn f() { if true { crate::server::run(); } }");
    check(
        "store/meta.rs",
        "fn f() -> Vec<Option<crate::auth::Scope>> { vec![] }",
    );
    check("store/meta.rs", "impl crate::protocol::links::Up for Meta {}");
    check(
        "store/meta.rs",
        "fn f() { print!(\"{}\", super::super::server::NAME); }",
    );
    check(
        "store/meta.rs",
        "macro_rules! up { () => { $crate::server::run() } }",
    );
    check("store/meta.rs", "#[cfg(test)] mod tests { use crate::server; }");
    // Of equal height.
    check("auth.rs", "use crate::store::disk::Disk;");
    check("protocol/nx.rs", "use super::http;");
}

#[test]
fn a_path_through_a_name_of_the_module_is_followed() {
    let check = |text| {
        let faults = faults("store/meta.rs", text);
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("leads up to protocol::links")),
            "{text}: {faults:?}"
        );
    };
    check("use crate::protocol as down; fn f() { down::links::make(); }");
    check("use crate::protocol; type L = protocol::Links;");
}

#[test]
fn a_re_export_counts_as_what_it_hides() {
    // Nothing but the folder itself is named; its list of front-ends hands the name on.
    let faults = faults("protocol/links.rs", "use super::answer;");
    assert_eq!(
        faults,
        ["protocol/links.rs: super::answer leads up to protocol::http"]
    );
}

#[test]
fn every_part_of_protocol_and_store_has_a_row() {
    let check = |file, expected: &str| {
        let expected = format!("{expected} has no row in the table of lib.rs");
        assert_eq!(faults(file, "pub struct New;"), [expected]);
    };
    check("protocol/pypi/mod.rs", "protocol::pypi");
    check("protocol/pypi.rs", "protocol::pypi");
    check("store/folder/mod.rs", "store::folder");
    check("store/trailer.rs", "store::trailer");
    check("tasks.rs", "tasks");
}

#[test]
fn a_row_without_a_module_is_found() {
    let table = TABLE.replace("meta,", "meta, gone,").replace("nx}", "nx, npm}");
    let faults = Layers::of(&table).faults(&planted("auth.rs", ""));
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn a_circle_of_files_is_found_unless_it_is_parent_and_child() {
    let circle = |file, text| circles(&planted(file, text));
    let of = |names: &[&str]| vec![names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    let two = of(&["store::key", "store::meta"]);
    assert_eq!(circle("store/key.rs", "use super::meta::Meta;"), two);
    assert_eq!(
        circle("store/key.rs", "use crate::store::Meta;"),
        two,
        "through a re-export"
    );
    assert_eq!(circle("store/key.rs", "fn f() { super::meta::make(); }"), two);
    let three = of(&["store::disk::lru", "store::key", "store::meta"]);
    assert_eq!(
        circle(
            "store/key.rs",
            "type L = super::disk::lru::Lru; type M = super::Meta;"
        ),
        three
    );
    // The disk and its list know each other.
    assert_eq!(
        circle("store/disk/mod.rs", "pub struct D(lru::Lru);"),
        [[""; 0]; 0]
    );
    // Tests may use whatever uses them.
    assert_eq!(
        circle(
            "store/key.rs",
            "#[cfg(test)] mod tests { use crate::store::Meta; }"
        ),
        [[""; 0]; 0]
    );
}

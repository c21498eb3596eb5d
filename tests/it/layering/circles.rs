//! Files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Tree;

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Groups of files each of which imports itself through the others. A parent and its child may import each
/// other: what the parent shows of the child is a part of the parent. Code for tests does not count.
pub(super) fn circles(tree: &Tree) -> Vec<Vec<String>> {
    let edges = edges(tree);
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        edges.keys().map(|file| (file, reach(&edges, file))).collect();
    let mut groups = BTreeSet::new();
    for (file, others) in &reach {
        if others.contains(file) {
            let back = others
                .iter()
                .filter(|other| reach.get(*other).is_some_and(|others| others.contains(file)));
            groups.insert(back.map(|other| (*other).clone()).collect::<Vec<_>>());
        }
    }
    groups.into_iter().collect()
}

/// Which file imports which.
fn edges(tree: &Tree) -> Edges {
    let mut edges = Edges::new();
    for (path, module) in tree.modules.iter().filter(|(_, module)| !module.test) {
        let from = tree.file_module(path);
        for (mention, _) in module.mentions.iter().filter(|(_, test)| !test) {
            let Some(target) = tree.resolve(path, mention) else {
                continue;
            };
            let to = tree.file_module(&target.module);
            let family = from.starts_with(to) || to.starts_with(from);
            if !family {
                edges.entry(from.join("::")).or_default().insert(to.join("::"));
            }
        }
    }
    edges
}

/// What can be reached from a file over one import or more.
fn reach<'e>(edges: &'e Edges, file: &String) -> BTreeSet<&'e String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = edges.get(file).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(edges.get(next).into_iter().flatten());
        }
    }
    found
}

//! The table of layers in the comment of `src/lib.rs`, and what breaks it.

use super::source::{ModulePath, Tree};

/// Folders whose every part stands in the table: a new front-end or tier has to be put somewhere.
const COMPLETE: &[&str] = &["protocol", "store"];

/// This file holds the list of front-ends, so it alone looks upwards, to name them.
const LIST: &str = "protocol/mod.rs";

/// The layers, top first.
#[derive(Debug)]
pub(super) struct Layers(Vec<Vec<Layer>>);

/// A module with what is below it, as far as that has no layer of its own.
#[derive(Debug)]
struct Layer {
    module: ModulePath,
    /// Parts of the module that belong to this layer; only listed for folders in [`COMPLETE`].
    members: Vec<String>,
}

impl Layers {
    /// Reads the table: a line for each layer, `a::{b, c}` for several modules of equal height, and in brackets
    /// the parts of a module that have no line of their own. Words behind a colon are for people.
    pub(super) fn of(lib: &str) -> Self {
        let lines = lib.lines().map(|line| line.trim_start_matches("//!").trim());
        let table = lines
            .skip_while(|line| *line != "```text")
            .skip(1)
            .take_while(|line| *line != "```");
        // Members may go on in the next line, which then begins with them.
        let mut rows: Vec<String> = Vec::new();
        for line in table {
            match rows.last_mut() {
                Some(row) if row.matches('(').count() > row.matches(')').count() => {
                    *row += &format!(" {line}");
                }
                _ => rows.push(line.to_owned()),
            }
        }
        Self(rows.iter().map(|row| layers_of(row)).collect())
    }

    /// What is wrong with a tree.
    pub(super) fn faults(&self, tree: &Tree) -> Vec<String> {
        let mut faults = self.without_row(tree);
        faults.extend(self.absent(tree));
        for (path, module) in &tree.modules {
            if !module.file.is_empty() && module.file != LIST && module.file != "lib.rs" {
                faults.extend(self.upwards(tree, path));
            }
        }
        faults
    }

    fn upwards(&self, tree: &Tree, path: &ModulePath) -> Vec<String> {
        let module = &tree.modules[path];
        let Some((depth, own)) = self.find(path) else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        for (mention, _) in &module.mentions {
            let Some(target) = tree.resolve(path, mention) else {
                continue;
            };
            for reached in target.through.iter().chain([&target.module]) {
                let Some((height, other)) = self.find(reached) else {
                    continue;
                };
                if height < depth || (height == depth && own != other) {
                    let (from, to) = (mention.join("::"), reached.join("::"));
                    faults.push(format!("{}: {from} leads up to {to}", module.file));
                }
            }
        }
        faults
    }

    /// The height of a module, and the layer that it belongs to.
    fn find(&self, path: &[String]) -> Option<(usize, &ModulePath)> {
        let rows = self.0.iter().enumerate();
        let all = rows.flat_map(|(height, row)| row.iter().map(move |layer| (height, &layer.module)));
        all.filter(|(_, module)| path.starts_with(module))
            .max_by_key(|(_, module)| module.len())
    }

    /// Modules that the table does not place.
    fn without_row(&self, tree: &Tree) -> Vec<String> {
        let placed = |path: &ModulePath| match path.as_slice() {
            [] => true,
            [folder, part, ..] if COMPLETE.contains(&folder.as_str()) => {
                self.rows(path) || self.has_member(folder, part)
            }
            _ => self.find(path).is_some(),
        };
        let files = tree
            .modules
            .iter()
            .filter(|(path, module)| !module.test && !module.file.is_empty() && *path != &["main"]);
        let lost = files.filter(|(path, _)| !placed(path));
        lost.map(|(path, _)| format!("{} has no row in the table of lib.rs", path.join("::")))
            .collect()
    }

    /// Whether a module below a folder of [`COMPLETE`] stands in a row of its own, or is below one that does.
    fn rows(&self, path: &[String]) -> bool {
        self.find(path).is_some_and(|(_, module)| module.len() > 1)
    }

    fn has_member(&self, folder: &str, part: &str) -> bool {
        let all = self.0.iter().flatten();
        let folders = all.filter(|layer| layer.module.as_slice() == [folder]);
        folders
            .flat_map(|layer| &layer.members)
            .any(|member| member == part)
    }

    /// Rows of what is not there any more.
    fn absent(&self, tree: &Tree) -> Vec<String> {
        let members = |layer: &Layer| -> Vec<ModulePath> {
            let below = |member: &String| [layer.module.as_slice(), std::slice::from_ref(member)].concat();
            layer.members.iter().map(below).collect()
        };
        let named = self
            .0
            .iter()
            .flatten()
            .flat_map(|layer| [vec![layer.module.clone()], members(layer)].concat());
        let gone = named.filter(|path| !tree.modules.contains_key(path));
        gone.map(|path| {
            format!(
                "the table of lib.rs names {}, which is not there",
                path.join("::")
            )
        })
        .collect()
    }
}

/// `store::{disk, s3}    auth` are three layers of equal height.
fn layers_of(row: &str) -> Vec<Layer> {
    let (row, members) = match row.split_once('(') {
        Some((row, members)) => (row, names(members.trim_end_matches(')'))),
        None => (row, Vec::new()),
    };
    let row = row.split(": ").next().unwrap_or(row);
    let modules = match row.split_once("::{") {
        Some((folder, group)) => {
            let (group, rest) = group.split_once('}').expect("a closing brace in the table");
            let below = names(group)
                .into_iter()
                .map(|name| format!("{}::{name}", folder.trim()));
            below.chain(names(rest)).collect()
        }
        None => names(row),
    };
    let layer = |module: String| Layer {
        module: module.split("::").map(str::to_owned).collect(),
        members: members.clone(),
    };
    modules.into_iter().map(layer).collect()
}

fn names(list: &str) -> Vec<String> {
    let parts = list.split([',', ' ']).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}
